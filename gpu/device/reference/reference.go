package reference

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/half"
)

// Device implements [device.Device].
type Device struct {
	workers int
	bf16    bool // operands of Linear and CrossEntropy are rounded to bfloat16
}

var _ device.Device = (*Device)(nil)

// Open returns the reference device. It holds nothing that needs closing.
func Open(o device.Options) (*Device, error) {
	d := &Device{workers: o.Workers}
	switch {
	case o.Workers < 0:
		return nil, fmt.Errorf("reference device: %d workers: want 0 (one a core) or more", o.Workers)
	case o.Workers == 0:
		d.workers = runtime.GOMAXPROCS(0)
	}
	switch o.Precision {
	case "", "fp32":
	case "bf16":
		d.bf16 = true
	default:
		return nil, fmt.Errorf("reference device: precision %q: want fp32 or bf16", o.Precision)
	}
	return d, nil
}

// Info names the device. Its kind has the architecture in it, because the
// compiler may fuse multiplications and additions on some.
func (d *Device) Info() device.Info {
	precision := "fp32"
	if d.bf16 {
		precision = "bf16"
	}
	return device.Info{
		Name:      fmt.Sprintf("plain Go, %d workers, %s", d.workers, precision),
		Kind:      "reference/" + runtime.GOARCH + "-" + precision,
		Backend:   "reference",
		Precision: precision,
		Workers:   d.workers,
		Features:  []string{runtime.GOARCH},
		InPlace:   true,
	}
}

// Close does nothing.
func (d *Device) Close() error { return nil }

// Sync returns nil: every operator is done when it returns, and none can fault.
func (d *Device) Sync() error { return nil }

// Alloc takes n floats from the Go heap.
func (d *Device) Alloc(n int) (device.Mem, error) {
	if n < 0 {
		return device.Mem{}, fmt.Errorf("reference device: allocation of %d floats", n)
	}
	return device.Mem{Host: make([]float32, n), N: n}, nil
}

// Free leaves the memory to the garbage collector.
func (d *Device) Free(device.Mem) {}

// Upload copies host floats into dst.
func (d *Device) Upload(dst device.Mem, src []float32) {
	want("Upload", "src", len(src), dst.N)
	copy(dst.Host, src)
}

// Download copies src to host floats.
func (d *Device) Download(dst []float32, src device.Mem) {
	want("Download", "dst", len(dst), src.N)
	copy(dst, src.Host)
}

// Zero clears dst.
func (d *Device) Zero(dst device.Mem) { clear(dst.Host) }

// Copy copies src to dst, which has the same length.
func (d *Device) Copy(dst, src device.Mem) {
	want("Copy", "src", src.N, dst.N)
	copy(dst.Host, src.Host)
}

// want panics when an argument has the wrong size.
func want(operator, argument string, got, size int) {
	if got != size {
		panic(fmt.Sprintf("reference: %s: %s has %d floats, want %d", operator, argument, got, size))
	}
}

// each calls do for 0 ≤ i < n, shared out to the workers. Calls must not
// depend on each other.
func (d *Device) each(n int, do func(i int)) {
	if d.workers == 1 || n < 2 {
		for i := range n {
			do(i)
		}
		return
	}
	var wg sync.WaitGroup
	for w := range min(d.workers, n) {
		wg.Go(func() {
			for i := w; i < n; i += d.workers {
				do(i)
			}
		})
	}
	wg.Wait()
}

// operands returns x, rounded to bfloat16 where the device is one of those.
func (d *Device) operands(x []float32) []float32 {
	if !d.bf16 {
		return x
	}
	r := make([]float32, len(x))
	for i, v := range x {
		r[i] = half.BF16(half.ToBF16(v))
	}
	return r
}
