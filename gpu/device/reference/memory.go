package reference

import (
	"fmt"
	"unsafe"

	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/half"
)

// floats are the numbers of t: of F32 themselves, of BF16 a widened copy. An
// operator changes them and gives them to store.
func floats(t device.Tensor) []float32 {
	if t.Format == device.F32 {
		return t.Floats()
	}
	x := make([]float32, t.N)
	for i, h := range t.Halves() {
		x[i] = half.BF16(h)
	}
	return x
}

// store makes x the numbers of t, rounded to the nearest.
func store(t device.Tensor, x []float32) {
	if t.Format == device.F32 {
		copy(t.Floats(), x)
		return
	}
	h := t.Halves()
	for i, v := range x {
		h[i] = half.ToBF16(v)
	}
}

// Alloc takes n bytes from the Go heap.
func (d *host) Alloc(n int) (device.Mem, error) {
	if n < 0 {
		return device.Mem{}, fmt.Errorf("reference device: allocation of %d bytes", n)
	}
	if err := d.take(int64(n)); err != nil {
		return device.Mem{}, err
	}
	b := make([]byte, n+device.Alignment-1)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) % device.Alignment)
	return device.Mem{Host: b[skip : skip+n : skip+n], N: n}, nil
}

// Free leaves the memory to the garbage collector.
func (d *host) Free(m device.Mem) { d.used -= int64(m.N) }

// take counts n bytes more.
func (d *host) take(n int64) error {
	if d.budget > 0 && n > d.budget-d.used {
		return fmt.Errorf("reference device: %d bytes do not fit in the memory budget of %d, of which %d are left: allow more or use less", n, d.budget, d.budget-d.used)
	}
	d.used += n
	return nil
}

// Available is what is left of the budget.
func (d *host) Available() int64 {
	if d.budget == 0 {
		return -1
	}
	return d.budget - d.used
}

// Workspace is 0: what operators need for themselves is the garbage collector's,
// and not counted.
func (d *host) Workspace(device.Bounds) int64 { return 0 }

// Reserve does nothing.
func (d *host) Reserve(device.Bounds) error { return nil }

// Upload copies src at once.
func (d *host) Upload(dst device.Mem, src []byte) { copy(dst.Host, src) }

// Download copies src at once.
func (d *host) Download(dst []byte, src device.Mem) { copy(dst, src.Host) }

// Zero clears dst.
func (d *host) Zero(dst device.Mem) { clear(dst.Host) }

// Copy copies src to dst, bit by bit if they have one format.
func (d *host) Copy(dst, src device.Tensor) {
	if dst.Format == src.Format {
		copy(dst.Mem.Host, src.Mem.Host)
		return
	}
	store(dst, floats(src))
}

// Swap exchanges the bytes of a and b.
func (d *host) Swap(a, b device.Mem) {
	for i, v := range a.Host {
		a.Host[i], b.Host[i] = b.Host[i], v
	}
}
