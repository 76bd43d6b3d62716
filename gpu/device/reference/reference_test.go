package reference_test

import (
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/reference"
)

func open(t *testing.T, o device.Options) device.Device {
	t.Helper()
	d, err := reference.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestOpenRefuses(t *testing.T) {
	for _, o := range []device.Options{{Workers: -1}, {Precision: "fp8"}, {Ordinal: 1}, {Budget: -1}} {
		if _, err := reference.Open(o); err == nil {
			t.Errorf("open %+v succeeded", o)
		}
	}
}

// TestBudget: memory and passes come out of one budget and go back to it.
func TestBudget(t *testing.T) {
	if n := open(t, device.Options{}).Available(); n != -1 {
		t.Errorf("without a budget %d bytes are available", n)
	}
	d := open(t, device.Options{Budget: 10_000})
	a, err := d.Alloc(6000)
	if err != nil {
		t.Fatal(err)
	}
	if uintptr(unsafe.Pointer(&a.Host[0]))%device.Alignment != 0 {
		t.Error("memory is not aligned")
	}
	p, err := d.NewPass(device.Limits{M: 100, S: 3, N: 5, Pages: 2})
	if err != nil {
		t.Fatal(err)
	}
	left := d.Available()
	if left >= 4000 || left < 4000-2500 {
		t.Errorf("%d bytes are left", left)
	}
	for _, try := range []func() error{
		func() error { _, err := d.Alloc(int(left) + 1); return err },
		func() error { _, err := d.NewPass(device.Limits{M: 1000}); return err },
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), "memory budget of 10000") {
			t.Errorf("beyond the budget: %v", err)
		}
	}
	b, err := d.Alloc(int(left))
	if err != nil {
		t.Errorf("the last bytes: %v", err)
	}
	d.Free(a)
	d.Free(b)
	d.FreePass(p)
	if n := d.Available(); n != 10_000 {
		t.Errorf("%d bytes are left when all is given back", n)
	}
}

// TestPassIsACopy: sources are free when Prepare returns, and a pass can be
// prepared again.
func TestPassIsACopy(t *testing.T) {
	d := open(t, device.Options{})
	p, err := d.NewPass(device.Limits{M: 4, S: 2})
	if err != nil {
		t.Fatal(err)
	}
	table, err := device.NewTensor(d, device.F32, 3)
	if err != nil {
		t.Fatal(err)
	}
	copy(table.Floats(), []float32{10, 11, 12})
	y, err := device.NewTensor(d, device.BF16, 4)
	if err != nil {
		t.Fatal(err)
	}
	for _, ids := range [][]int32{{2, 0, 1, 1}, {1, 2}} {
		given := slices.Clone(ids)
		d.Prepare(p, device.Batch{IDs: given})
		clear(given)
		d.Embed(y.Slice(0, len(ids)), device.Dense(table), p, 1)
		for i, id := range ids {
			if want := []uint16{0x4120, 0x4130, 0x4140}[id]; y.Halves()[i] != want {
				t.Errorf("row %d of ids %v is %#x, want %#x", i, ids, y.Halves()[i], want)
			}
		}
	}
}

// TestAdvancePastDamagedScores: an answer whose scores were not finite has no
// token; the pass goes on until the host has seen that.
func TestAdvancePastDamagedScores(t *testing.T) {
	d := open(t, device.Options{})
	p, err := d.NewPass(device.Limits{M: 2, S: 2, Pages: 1})
	if err != nil {
		t.Fatal(err)
	}
	d.Prepare(p, device.Batch{
		IDs: []int32{0, 0}, Positions: []int32{4, 5}, CuSeqlens: []int32{0, 1, 2}, Past: []int32{4, 5}, Pages: []int32{0, 1},
	})
	ids, err := device.NewInts(d, 2)
	if err != nil {
		t.Fatal(err)
	}
	copy(ids.Host(), []int32{-1, 1})
	d.Advance(p, ids)
	table, err := device.NewTensor(d, device.F32, 2)
	if err != nil {
		t.Fatal(err)
	}
	copy(table.Floats(), []float32{7, 8})
	y, err := device.NewTensor(d, device.F32, 2)
	if err != nil {
		t.Fatal(err)
	}
	d.Embed(y, device.Dense(table), p, 1)
	if want := []float32{7, 8}; !slices.Equal(y.Floats(), want) {
		t.Errorf("embeddings %v, want %v", y.Floats(), want)
	}
}
