//go:build cgo && unix

package cpu

import (
	"sync"

	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/sampling"
)

// each calls do for 0 ≤ i < n, shared out to as many goroutines as there are
// workers; after a fault it does nothing.
func (d *Device) each(n int, do func(i int)) {
	if d.faulty() {
		return
	}
	var wg sync.WaitGroup
	for w := range min(d.info.Workers, n) {
		wg.Go(func() {
			for i := w; i < n; i += d.info.Workers {
				do(i)
			}
		})
	}
	wg.Wait()
}

// TopK selects row by row.
func (d *Device) TopK(ids device.Ints, values, lse, scores device.Tensor, n, v, k int) {
	d.each(n, func(i int) {
		row := scores.Floats()[i*v : (i+1)*v]
		sampling.Top(ids.Host()[i*k:(i+1)*k], values.Floats()[i*k:(i+1)*k], row)
		lse.Floats()[i] = float32(sampling.LogSumExp(row))
	})
}

// Sample picks sequence by sequence.
func (d *Device) Sample(ids, seen device.Ints, logprob, scores device.Tensor, dp *device.Pass, v int) {
	p, words := prepared(dp), (v+31)/32
	d.each(dp.S, func(s int) {
		var marks []int32
		if !seen.Empty() {
			marks = seen.Host()[s*words : (s+1)*words]
		}
		length := p.arrays[cuSeqlens][s+1] - p.arrays[cuSeqlens][s]
		if dp.Has.Past {
			length += p.arrays[past][s]
		}
		row := scores.Floats()[s*v : (s+1)*v]
		ids.Host()[s] = sampling.Pick(row, marks, p.sampling[s], int(length))
		if !logprob.Empty() {
			logprob.Floats()[s] = float32(sampling.Logprob(row, ids.Host()[s]))
		}
	})
}
