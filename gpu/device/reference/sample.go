package reference

import (
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/sampling"
)

// TopK selects row by row.
func (d *host) TopK(ids device.Ints, values, lse, scores device.Tensor, n, v, k int) {
	d.each(n, func(i int) {
		row := scores.Floats()[i*v : (i+1)*v]
		sampling.Top(ids.Host()[i*k:(i+1)*k], values.Floats()[i*k:(i+1)*k], row)
		lse.Floats()[i] = float32(sampling.LogSumExp(row))
	})
}

// Sample picks sequence by sequence.
func (d *host) Sample(ids, seen device.Ints, logprob, scores device.Tensor, p *device.Pass, v int) {
	b, words := batch(p), (v+31)/32
	d.each(p.S, func(s int) {
		var marks []int32
		if !seen.Empty() {
			marks = seen.Host()[s*words : (s+1)*words]
		}
		_, length := sequence(b, s)
		if p.Has.Past {
			length += int(b.Past[s])
		}
		row := scores.Floats()[s*v : (s+1)*v]
		ids.Host()[s] = sampling.Pick(row, marks, b.Sampling[s], length)
		if !logprob.Empty() {
			logprob.Floats()[s] = float32(sampling.Logprob(row, ids.Host()[s]))
		}
	})
}
