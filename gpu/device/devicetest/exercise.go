package devicetest

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

// Tolerance is how far a device may be from float64. An element may differ by
// the tolerance times the sum of its own magnitude and the tensor's root mean
// square.
type Tolerance struct {
	Product float64 // Linear, Attention, CrossEntropy and their backward passes
	Other   float64 // everything else
}

// FP32 is what a device with float32 sums must keep; BF16 allows for operands
// of products that are rounded to bfloat16.
var (
	FP32 = Tolerance{Product: 1e-5, Other: 1e-5}
	BF16 = Tolerance{Product: 3e-2, Other: 1e-5}
)

// Exercise runs the whole suite on the devices that open returns. It asks for
// one with each of 1, 2, 3 and 4 workers and expects the same bits from all.
func Exercise(t *testing.T, open func(device.Options) device.Device, tol Tolerance) {
	NewSuite().Exercise(t, open, tol)
}

// A Suite holds the cases and their answers, so that several kinds of device
// can be compared with answers computed once.
type Suite struct{ cases []testCase }

// NewSuite computes the answers.
func NewSuite() *Suite { return &Suite{cases: cases()} }

// Exercise is what [Exercise] does.
func (s *Suite) Exercise(t *testing.T, open func(device.Options) device.Device, tol Tolerance) {
	var devices []device.Device
	for workers := 1; workers <= 4; workers++ {
		d := open(device.Options{Workers: workers})
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		devices = append(devices, d)
	}
	t.Run("info", func(t *testing.T) { info(t, devices[0]) })
	t.Run("memory", func(t *testing.T) { memory(t, devices[0]) })
	t.Run("sizes", func(t *testing.T) { wrongSizes(t, devices[0]) })
	for _, c := range s.cases {
		t.Run(c.name, func(t *testing.T) {
			first := c.on(t, devices[0])
			c.verify(t, first, tol)
			c.same(t, "second run", c.on(t, devices[0]), first)
			for i, d := range devices[1:] {
				c.same(t, fmt.Sprintf("%d workers", i+2), c.on(t, d), first)
			}
		})
	}
}

// A testCase is one call of one operator.
type testCase struct {
	name     string
	operands []operand
	run      func(d device.Device, m []device.Mem)
	product  bool    // judged by Tolerance.Product
	slack    float64 // multiplies the tolerance where a case's inputs are already rounded; 0 is 1
	// check judges what the operands hold afterwards, for those that are judged;
	// nil where there are none.
	check func(after [][]float32, tolerance float64) error
}

// An operand is one tensor argument. With n = 0 it is an empty Mem.
type operand struct {
	name    string
	n       int
	before  []float32 // contents before the call; nil is poison
	want    []float64 // contents after it; nil: the same as before
	scratch bool      // contents after it do not matter
	judged  bool      // contents after it are the case's check's to judge
}

// in is an operand that is only read.
func in(name string, x []float32) operand { return operand{name: name, n: len(x), before: x} }

// out is an operand that is assigned.
func out(name string, want []float64) operand {
	return operand{name: name, n: len(want), want: want}
}

// inout is an operand that is changed.
func inout(name string, before []float32, want []float64) operand {
	return operand{name: name, n: len(before), before: before, want: want}
}

// scratch is an operand of n floats for the device's own use.
func scratch(name string, n int) operand { return operand{name: name, n: n, scratch: true} }

// none is an optional operand that is not given.
func none(name string) operand { return operand{name: name} }

// guard floats stand on both sides of every operand. An odd number, so that no
// operand is aligned.
const guard = 5

// poison is a NaN that no arithmetic makes.
var poison = math.Float32frombits(0x7fc0dead)

// on runs the case on d and returns what the operands hold afterwards.
func (c testCase) on(t *testing.T, d device.Device) [][]float32 {
	t.Helper()
	whole := make([]device.Mem, len(c.operands))
	mem := make([]device.Mem, len(c.operands))
	for i, o := range c.operands {
		if o.n == 0 {
			continue
		}
		m, err := d.Alloc(o.n + 2*guard)
		if err != nil {
			t.Fatalf("alloc %s: %v", o.name, err)
		}
		defer d.Free(m)
		host := make([]float32, m.N)
		for j := range host {
			host[j] = poison
		}
		copy(host[guard:], o.before)
		d.Upload(m, host)
		whole[i], mem[i] = m, m.Slice(guard, guard+o.n)
	}
	c.run(d, mem)
	if err := d.Sync(); err != nil {
		t.Fatalf("sync: %v", err)
	}
	after := make([][]float32, len(c.operands))
	for i, o := range c.operands {
		if o.n == 0 {
			continue
		}
		host := make([]float32, whole[i].N)
		d.Download(host, whole[i])
		for j, v := range host {
			if (j < guard || j >= guard+o.n) && math.Float32bits(v) != math.Float32bits(poison) {
				t.Errorf("%s: element %d, outside of its %d, was written: %g", o.name, j-guard, o.n, v)
			}
		}
		after[i] = host[guard : guard+o.n]
	}
	return after
}

// verify compares with what was wanted.
func (c testCase) verify(t *testing.T, after [][]float32, tol Tolerance) {
	t.Helper()
	limit := tol.Other
	if c.product {
		limit = tol.Product
	}
	if c.slack > 0 {
		limit *= c.slack
	}
	if c.check != nil {
		if err := c.check(after, limit); err != nil {
			t.Error(err)
		}
	}
	for i, o := range c.operands {
		switch {
		case o.scratch || o.judged || o.n == 0:
		case o.want == nil:
			for j, v := range after[i] {
				if math.Float32bits(v) != math.Float32bits(o.before[j]) {
					t.Errorf("%s[%d] is only read, but changed from %g to %g", o.name, j, o.before[j], v)
					break
				}
			}
		default:
			square := 0.0
			for _, w := range o.want {
				square += w * w
			}
			rms := math.Sqrt(square / float64(len(o.want)))
			for j, w := range o.want {
				if diff := math.Abs(float64(after[i][j]) - w); !(diff <= limit*(math.Abs(w)+rms)) {
					t.Errorf("%s[%d] of %d = %g, want %g (off by %.2g, rms %.2g)", o.name, j, o.n, after[i][j], w, diff, rms)
					break
				}
			}
		}
	}
}

// same compares bits.
func (c testCase) same(t *testing.T, what string, got, first [][]float32) {
	t.Helper()
	for i, o := range c.operands {
		if o.scratch {
			continue
		}
		for j, g := range got[i] {
			f := first[i][j]
			if g == f && g != 0 { // the usual case, quickly
				continue
			}
			if math.Float32bits(g) != math.Float32bits(f) {
				t.Errorf("%s: %s[%d] = %g, first run with one worker: %g", what, o.name, j, g, f)
				break
			}
		}
	}
}

// random is a source that depends on the case's name only.
func random(name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(h.Sum64(), 1))
}

// normal is n normal numbers times scale.
func normal(r *rand.Rand, n int, scale float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(scale * r.NormFloat64())
	}
	return x
}

// normalBF16 is n normal numbers that bfloat16 can say: a device that rounds the
// operands of products has the right scores all the same. Of scores in the
// hundreds a softmax would show nothing else.
func normalBF16(r *rand.Rand, n int) []float32 {
	x := normal(r, n, 1)
	for i, v := range x {
		x[i] = math.Float32frombits(math.Float32bits(v) &^ 0xffff)
	}
	return x
}

// wide is x in float64.
func wide(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// narrow is x rounded to float32.
func narrow(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}

// plus is x + y.
func plus(x []float32, y []float64) []float64 {
	z := wide(x)
	for i, v := range y {
		z[i] += v
	}
	return z
}
