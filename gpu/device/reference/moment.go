package reference

import (
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

// widenMoment is the n values of a moment.
func widenMoment(m device.Moment, n int, signed bool) []float64 {
	x := make([]float64, n)
	if !m.Narrow() {
		return widen(x, m.V.Tensor(device.F32, n).Floats())
	}
	code, scales := device.DynamicCode(signed), m.Scale.Floats()
	for i, c := range m.V.Host {
		x[i] = float64(code.Value[c] * scales[i/device.MomentBlock])
	}
	return x
}

// narrowMoment puts values into a moment.
func narrowMoment(m device.Moment, x []float64, signed bool) {
	if !m.Narrow() {
		round(m.V.Tensor(device.F32, len(x)).Floats(), x)
		return
	}
	code, scales := device.DynamicCode(signed), m.Scale.Floats()
	for b := range scales {
		first := b * device.MomentBlock
		block := x[first:min(first+device.MomentBlock, len(x))]
		var top float32
		for _, v := range block {
			top = max(top, float32(math.Abs(v)))
		}
		scales[b] = top
		for i, v := range block {
			m.V.Host[first+i] = code.Code(0)
			if top > 0 {
				m.V.Host[first+i] = code.Code(float32(v) / top)
			}
		}
	}
}
