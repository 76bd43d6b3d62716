package reference

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/half"
)

// host implements [device.Device]; arguments are checked before it sees them.
type host struct {
	workers int
	bf16    bool  // operands of products are rounded to bfloat16
	budget  int64 // bytes, 0 for no limit
	used    int64 // of them
}

// Open returns the reference device. Only its memory needs giving back, and the
// garbage collector does that.
func Open(o device.Options) (device.Device, error) {
	d := &host{workers: o.Workers, budget: o.Budget}
	switch {
	case o.Ordinal != 0:
		return nil, fmt.Errorf("reference device: ordinal %d: there is one, 0", o.Ordinal)
	case o.ISA != "":
		return nil, fmt.Errorf("reference device: instruction set %q: plain Go has none to choose from", o.ISA)
	case o.Budget < 0:
		return nil, fmt.Errorf("reference device: budget of %d bytes: want 0 (all there is) or more", o.Budget)
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
	return device.Checked(d), nil
}

// Info names the device. Its kind has the architecture in it, because the
// compiler may fuse multiplications and additions on some.
func (d *host) Info() device.Info {
	precision, activations := "fp32", device.F32
	if d.bf16 {
		precision, activations = "bf16", device.BF16
	}
	return device.Info{
		Name:        fmt.Sprintf("plain Go, %d workers, %s", d.workers, precision),
		Kind:        "reference/" + runtime.GOARCH + "-" + precision,
		Backend:     "reference",
		Precision:   precision,
		Workers:     d.workers,
		Features:    []string{runtime.GOARCH},
		InPlace:     true,
		Activations: activations,
		Residual:    device.F32,
	}
}

// Close does nothing.
func (d *host) Close() error { return nil }

// Do calls f: every goroutine may call the device.
func (d *host) Do(f func() error) error { return f() }

// Sync returns nil: every operator is done when it returns, and none can fault.
func (d *host) Sync() error { return nil }

// each calls do for 0 ≤ i < n, shared out to the workers. Calls must not
// depend on each other.
func (d *host) each(n int, do func(i int)) {
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
func (d *host) operands(x []float32) []float32 {
	if !d.bf16 {
		return x
	}
	r := make([]float32, len(x))
	for i, v := range x {
		r[i] = half.BF16(half.ToBF16(v))
	}
	return r
}
