package dry

import (
	"fmt"
	"time"

	"github.com/glmflow/glmflow/gpu/device"
)

// Probe measures a device for about half a second: a product of the size that
// training has, and a copy that no cache holds.
func Probe(dev device.Device, now func() time.Time) (Rates, error) {
	const (
		m, n, k  = 1024, 1536, 1024
		numbers  = 32 << 20 / 4
		atLeast  = 200 * time.Millisecond
		mostRuns = 1000
	)
	f := dev.Info().Activations
	mem, err := dev.Alloc(device.ArenaBytes(m*k*f.Size()) + device.ArenaBytes(m*n*f.Size()) + device.ArenaBytes(4*n*k) + 2*4*numbers)
	if err != nil {
		return Rates{}, fmt.Errorf("probe the device: %w", err)
	}
	defer dev.Free(mem)
	a := device.NewArena(mem)
	x, y, w := a.Tensor(f, m*k), a.Tensor(f, m*n), a.Tensor(device.F32, n*k)
	from, to := a.Tensor(device.F32, numbers), a.Tensor(device.F32, numbers)
	timed := func(call func()) (seconds float64, err error) {
		call() // faults memory in and wakes threads
		if err := dev.Sync(); err != nil {
			return 0, err
		}
		began, runs := now(), 0
		for ; runs < mostRuns && (runs == 0 || now().Sub(began) < atLeast); runs++ {
			call()
			if err := dev.Sync(); err != nil {
				return 0, err
			}
		}
		return max(now().Sub(began).Seconds()/float64(runs), 1e-9), nil
	}
	var r Rates
	err = dev.Do(func() error {
		products, err := timed(func() { dev.Linear(y, x, m, &device.Linear{W: device.Dense(w), I: k, O: n}) })
		if err != nil {
			return err
		}
		copies, err := timed(func() { dev.Copy(to, from) })
		r = Rates{Flops: product(m, n, k) / products, Bytes: 2 * 4 * numbers / copies, Call: 1e-6}
		return err
	})
	return r, err
}
