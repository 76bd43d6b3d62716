//go:build cgo && linux

package cpu

import (
	"math"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/reference"
)

// threads counts the members of teams among the threads of this process.
func threads(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Skipf("no list of threads: %v", err)
	}
	count := 0
	for _, task := range tasks {
		name, err := os.ReadFile("/proc/self/task/" + task.Name() + "/comm")
		if err == nil && strings.TrimSpace(string(name)) == "glmflow-cpu" {
			count++
		}
	}
	return count
}

func TestCloseJoinsThreads(t *testing.T) {
	before := threads(t)
	var devices []device.Device
	for range 3 {
		d, err := Open(device.Options{Workers: 4})
		if err != nil {
			t.Fatal(err)
		}
		devices = append(devices, d)
	}
	if got := threads(t); got != before+9 {
		t.Errorf("three devices of 4 workers: %d threads beside the callers, want 9", got-before)
	}
	for _, d := range devices {
		for range 2 { // a second Close does nothing
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	// A joined thread may be listed for an instant longer.
	for deadline := time.Now().Add(5 * time.Second); threads(t) != before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("after Close %d threads are left", threads(t)-before)
		}
	}
}

// TestManyRegions hands many small regions to more workers than there are
// cores; a lost wake-up would hang it, a lost task would leave a wrong sum.
func TestManyRegions(t *testing.T) {
	d := opened(t, device.Options{Workers: 5})
	const n, times = 100000, 2000
	x, y := filled(t, d, n), filled(t, d, n)
	for i := range n {
		x.Floats()[i], y.Floats()[i] = 1, 0
	}
	for range times {
		d.Axpy(y, 1, x)
	}
	for i, v := range y.Floats() {
		if v != times {
			t.Fatalf("element %d is %g after %d additions of 1", i, v, times)
		}
	}
}

// TestFaultIsSticky asks for a rotary table that no machine can hold.
func TestFaultIsSticky(t *testing.T) {
	d := opened(t, device.Options{Workers: 2})
	s := device.Heads{A: 1, G: 1, D: 1 << 14, Rotary: 1 << 14, Base: 10000}
	x := filled(t, d, s.Width())
	d.Rotary(x, passOf(t, d, device.Batch{Positions: []int32{math.MaxInt32 - 1}}), s, false)
	if err := d.Sync(); err == nil {
		t.Fatal("128 TiB of scratch memory were found")
	}
	norm, ids := filled(t, d, 2), filled(t, d, 1).Mem.Ints(1)
	sampled := passOf(t, d, device.Batch{CuSeqlens: []int32{0, 1}, Sampling: []device.Sampling{{Penalty: 1, TopP: 1}}})
	for name, run := range map[string]func(){
		"Axpy": func() { d.Axpy(x, 1, x) },
		"Linear": func() {
			d.Linear(x.Slice(0, 1), x.Slice(4, 8), 1, &device.Linear{W: device.Dense(x.Slice(8, 12)), I: 4, O: 1})
		},
		"ClipNorm": func() { d.ClipNorm(norm, []device.Tensor{x}, 1) },
		"Sample":   func() { d.Sample(ids, device.Ints{}, device.Tensor{}, x.Slice(0, 4), sampled, 4) },
		"TopK":     func() { d.TopK(ids, norm.Slice(0, 1), norm.Slice(1, 2), x.Slice(0, 4), 1, 4, 1) },
	} {
		before := [...]float32{x.Floats()[0], norm.Floats()[0], norm.Floats()[1], float32(ids.Host()[0])}
		run()
		if after := [...]float32{x.Floats()[0], norm.Floats()[0], norm.Floats()[1], float32(ids.Host()[0])}; after != before {
			t.Errorf("%s ran after the fault", name)
		}
	}
}

// TestManyColumns has more columns than are packed at once, and more rows than a
// block.
func TestManyColumns(t *testing.T) {
	const m, i, o = 150, 520, 8200
	want, err := reference.Open(device.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := opened(t, device.Options{Workers: 3})
	x, w, bias, y, z := filled(t, d, m*i), filled(t, d, o*i), filled(t, d, o), filled(t, d, m*o), filled(t, d, m*o)
	l := &device.Linear{W: device.Dense(w), Bias: bias, I: i, O: o}
	d.Linear(y, x, m, l)
	want.Linear(z, x, m, l)
	for j := range y.Floats() {
		if diff := math.Abs(float64(y.Floats()[j] - z.Floats()[j])); diff > 1e-6 {
			t.Fatalf("y[%d] = %g, reference %g", j, y.Floats()[j], z.Floats()[j])
		}
	}
}

// TestAvailable reads what Linux says of its memory.
func TestAvailable(t *testing.T) {
	for text, want := range map[string]int64{
		"MemTotal:       24689764 kB\nMemFree:  1 kB\nMemAvailable:   23456 kB\nBuffers: 3 kB\n": 23456 << 10,
		"MemTotal: 24689764 kB\nMemFree: 1 kB\n":                                                 -1,
		"MemAvailable: much\n":                                                                   -1,
		"":                                                                                       -1,
	} {
		if got := available(text); got != want {
			t.Errorf("%q: %d bytes, want %d", text, got, want)
		}
	}
}

// TestBF16Rounds compares with the reference device, which rounds operands one
// by one: to nearest, ties to even, with every instruction set.
func TestBF16Rounds(t *testing.T) {
	const m, i, o = 33, 65, 70
	want, err := reference.Open(device.Options{Precision: "bf16"})
	if err != nil {
		t.Fatal(err)
	}
	for _, isa := range []string{"portable", "avx2", "avx512", "avx512bf16", "amx"} {
		d, err := open(device.Options{Precision: "bf16", ISA: isa})
		if err != nil {
			continue // this processor lacks them
		}
		t.Cleanup(func() { d.Close() })
		x, w, y, z := filled(t, d, m*i), filled(t, d, o*i), filled(t, d, m*o), filled(t, d, m*o)
		for j := range x.Floats() { // every second operand lies half-way between two bfloat16
			x.Floats()[j] = math.Float32frombits(math.Float32bits(x.Floats()[j])&^0xffff | uint32(j&1)<<15)
		}
		l := &device.Linear{W: device.Dense(w), I: i, O: o}
		d.Linear(y, x, m, l)
		want.Linear(z, x, m, l)
		for j := range y.Floats() {
			if diff := math.Abs(float64(y.Floats()[j] - z.Floats()[j])); diff > 1e-7 {
				t.Errorf("%s: y[%d] = %g, with operands rounded one by one %g", isa, j, y.Floats()[j], z.Floats()[j])
				break
			}
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		options device.Options
		says    string
	}{
		{device.Options{Workers: -1}, "workers"},
		{device.Options{Precision: "fp8"}, "fp8"},
		{device.Options{ISA: "mmx"}, "portable"}, // and what else there is
		{device.Options{Ordinal: 1}, "ordinal 1"},
		{device.Options{Budget: -1}, "budget"},
	} {
		if _, err := Open(c.options); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("open %+v: %v, want something about %q", c.options, err, c.says)
		}
	}
}
