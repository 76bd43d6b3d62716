package reference

import (
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

// AdamW does one step in float64: see [device.AdamW].
func (d *Device) AdamW(p, g device.Mem, m, v device.Moment, s device.AdamW) {
	want("AdamW", "g", g.N, p.N)
	wantMoment("AdamW", "m", m, p.N)
	wantMoment("AdamW", "v", v, p.N)
	b1, b2 := float64(s.Beta1), float64(s.Beta2)
	c1 := 1 - math.Pow(b1, float64(s.Step))
	c2 := 1 - math.Pow(b2, float64(s.Step))
	mean, square := widenMoment(m, p.N, true), widenMoment(v, p.N, false)
	for i := range p.Host {
		grad := float64(g.Host[i]) * float64(s.GradScale)
		mean[i] = b1*mean[i] + (1-b1)*grad
		square[i] = b2*square[i] + (1-b2)*grad*grad
		decayed := float64(p.Host[i]) * (1 - float64(s.LR)*float64(s.WeightDecay))
		p.Host[i] = float32(decayed - float64(s.LR)*(mean[i]/c1)/(math.Sqrt(square[i]/c2)+float64(s.Eps)))
	}
	narrowMoment(m, mean, true)
	narrowMoment(v, square, false)
}

// SGD does one step in float64: see [device.SGD].
func (d *Device) SGD(p, g device.Mem, m device.Moment, s device.SGD) {
	want("SGD", "g", g.N, p.N)
	momentum := float64(s.Momentum)
	remembered := make([]float64, p.N)
	if momentum != 0 {
		wantMoment("SGD", "m", m, p.N)
		remembered = widenMoment(m, p.N, true)
	}
	for i := range p.Host {
		grad := float64(g.Host[i])*float64(s.GradScale) + float64(s.WeightDecay)*float64(p.Host[i])
		remembered[i] = momentum*remembered[i] + grad
		step := remembered[i]
		if s.Nesterov {
			step = grad + momentum*step
		}
		p.Host[i] = float32(float64(p.Host[i]) - float64(s.LR)*step)
	}
	if momentum != 0 {
		narrowMoment(m, remembered, true)
	}
}

// Lion does one step in float64: see [device.Lion].
func (d *Device) Lion(p, g device.Mem, m device.Moment, s device.Lion) {
	want("Lion", "g", g.N, p.N)
	wantMoment("Lion", "m", m, p.N)
	b1, b2 := float64(s.Beta1), float64(s.Beta2)
	mean := widenMoment(m, p.N, true)
	for i := range p.Host {
		grad := float64(g.Host[i]) * float64(s.GradScale)
		decayed := float64(p.Host[i]) * (1 - float64(s.LR)*float64(s.WeightDecay))
		p.Host[i] = float32(decayed - float64(s.LR)*sign(b1*mean[i]+(1-b1)*grad))
		mean[i] = b2*mean[i] + (1-b2)*grad
	}
	narrowMoment(m, mean, true)
}

// sign is −1, 0 or 1.
func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return 0
}

// widenMoment is the n values of a moment.
func widenMoment(m device.Moment, n int, signed bool) []float64 {
	x := make([]float64, n)
	if !m.Narrow() {
		for i, v := range m.V.Host {
			x[i] = float64(v)
		}
		return x
	}
	code := device.DynamicCode(signed)
	for i := range x {
		c := math.Float32bits(m.V.Host[i/4]) >> (8 * (i % 4)) & 0xff
		x[i] = float64(code.Value[c] * m.Scale.Host[i/device.MomentBlock])
	}
	return x
}

// narrowMoment puts values into a moment.
func narrowMoment(m device.Moment, x []float64, signed bool) {
	if !m.Narrow() {
		for i, v := range x {
			m.V.Host[i] = float32(v)
		}
		return
	}
	code := device.DynamicCode(signed)
	for b := range m.Scale.Host {
		first := b * device.MomentBlock
		block := x[first:min(first+device.MomentBlock, len(x))]
		var top float32
		for _, v := range block {
			top = max(top, float32(math.Abs(v)))
		}
		m.Scale.Host[b] = top
		for i, v := range block {
			var c uint8
			if top > 0 {
				c = code.Code(float32(v) / top)
			} else {
				c = code.Code(0)
			}
			at, shift := (first+i)/4, 8*((first+i)%4)
			bits := math.Float32bits(m.V.Host[at])
			m.V.Host[at] = math.Float32frombits(bits&^(0xff<<shift) | uint32(c)<<shift)
		}
	}
}

func wantMoment(operator, argument string, m device.Moment, n int) {
	v, scale := device.MomentSizes(n, m.Narrow())
	want(operator, argument, m.V.N, v)
	want(operator, argument+" scale", m.Scale.N, scale)
}
