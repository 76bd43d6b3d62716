package devicetest

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"unsafe"

	"github.com/glmflow/glmflow/gpu/device"
)

// faulty is a device with one operator that is wrong in a small way.
type faulty struct {
	device.Device
	fault string
	calls int
}

func (f *faulty) SwiGLU(z, u device.Tensor, m, n int) {
	f.Device.SwiGLU(z, u, m, n)
	switch f.calls++; f.fault {
	case "the last number is not written":
		poison(z.Slice(z.N-1, z.N).Mem.Host, 0)
	case "an input is written":
		u.Mem.Host[0] ^= 1
	case "a guard is written":
		*(*byte)(unsafe.Add(unsafe.Pointer(&u.Mem.Host[0]), u.Mem.N)) = 0
	case "a number is off by 0.01 %":
		if z.Format == device.F32 {
			z.Floats()[0] *= 1.0001
		}
	case "16 bits are cut off, not rounded":
		if z.Format == device.BF16 {
			wide, _ := device.NewTensor(f.Device, device.F32, z.N)
			long, _ := device.NewTensor(f.Device, device.F32, u.N)
			f.Copy(long, u)
			f.Device.SwiGLU(wide, long, m, n)
			for i, v := range wide.Floats() {
				z.Halves()[i] = uint16(math.Float32bits(v) >> 16)
			}
		}
	case "the second run has other bits":
		if f.calls%2 == 0 {
			z.Mem.Host[0] ^= 1
		}
	}
}

func (f *faulty) GatherBackward(dx, dy device.Tensor, p *device.Pass, h int) {
	if f.fault == "a gradient is assigned" {
		f.Zero(dx.Mem)
	}
	f.Device.GatherBackward(dx, dy, p, h)
}

func (f *faulty) Sample(ids, seen device.Ints, logprob, scores device.Tensor, p *device.Pass, v int) {
	f.Device.Sample(ids, seen, logprob, scores, p, v)
	if f.fault == "the picked id is not seen" && !seen.Empty() {
		for s, id := range ids.Host() {
			if id >= 0 {
				seen.Host()[s*((v+31)/32)+int(id)/32] &^= 1 << (id % 32)
			}
		}
	}
}

// complaints are what the suite would tell a test.
type complaints struct {
	testing.TB
	all []string
}

func (c *complaints) Helper()                      {}
func (c *complaints) Error(args ...any)            { c.all = append(c.all, fmt.Sprint(args...)) }
func (c *complaints) Errorf(f string, args ...any) { c.all = append(c.all, fmt.Sprintf(f, args...)) }

// TestSuiteCatches: small faults of a device do not pass.
func TestSuiteCatches(t *testing.T) {
	for _, c := range []struct{ fault, operator, want string }{
		{"", "SwiGLU", ""},
		{"the last number is not written", "SwiGLU", "NaN"},
		{"an input is written", "SwiGLU", "u is only read"},
		{"a guard is written", "SwiGLU", "outside of its"},
		{"a number is off by 0.01 %", "SwiGLU", "z[0]"},
		{"16 bits are cut off, not rounded", "SwiGLU", "z["},
		{"the second run has other bits", "SwiGLU", "again: z is not bit for bit"},
		{"", "GatherBackward", ""},
		{"a gradient is assigned", "GatherBackward", "dx["},
		{"", "Sample", ""},
		{"the picked id is not seen", "Sample", "seen: from byte"},
	} {
		d := &faulty{Device: openReference(t, device.Options{Workers: 1}), fault: c.fault}
		heard, sum := &complaints{TB: t}, &Summary{operators: map[string]*operatorSummary{}}
		for _, test := range append(append(swigluCases(), gatherCases()...), sampleCases()...) {
			if !strings.HasPrefix(test.name, c.operator+"/") {
				continue
			}
			first := test.on(heard, d)
			test.verify(heard, first, FP32, sum)
			test.same(heard, "again", test.on(heard, d), first, sum)
		}
		if got := strings.Join(heard.all, "\n"); !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%s, %q: the suite says %.300q, want something of %q", c.operator, c.fault, got, c.want)
		}
	}
}
