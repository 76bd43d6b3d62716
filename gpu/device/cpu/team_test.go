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
	before := x.Floats()[0]
	d.Axpy(x, 1, x)
	if x.Floats()[0] != before {
		t.Error("an operator ran after the fault")
	}
}

// TestManyColumns has more columns than are packed at once.
func TestManyColumns(t *testing.T) {
	const m, i, o = 9, 520, 8200
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

// TestBF16Rounds compares with the reference device, which rounds operands one
// by one: to nearest, ties to even, with every instruction set.
func TestBF16Rounds(t *testing.T) {
	const m, i, o = 33, 65, 70
	want, err := reference.Open(device.Options{Precision: "bf16"})
	if err != nil {
		t.Fatal(err)
	}
	for _, isa := range []string{"portable", "avx2", "avx512", "avx512bf16", "amx"} {
		d, err := open(device.Options{Precision: "bf16"}, isa)
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
	for _, o := range []device.Options{{Workers: -1}, {Precision: "fp8"}} {
		if _, err := Open(o); err == nil {
			t.Errorf("open %+v succeeded", o)
		}
	}
	if _, err := open(device.Options{}, "mmx"); err == nil {
		t.Error("kernels for mmx were found")
	}
}
