package reference

import (
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

// ClipNorm makes the factor of the norm before that is rounded.
func (d *host) ClipNorm(norm device.Tensor, g []device.Tensor, limit float32) {
	sum := 0.0
	for _, t := range g {
		x := floats(t)
		sum += dot(x, x)
	}
	root, factor := math.Sqrt(sum), 1.0
	norm.Floats()[0] = float32(root)
	switch rounded := norm.Floats()[0]; {
	case rounded-rounded != 0:
		factor = math.NaN()
	case limit > 0:
		factor = min(1, float64(limit)/(root+1e-6))
	}
	norm.Floats()[1] = float32(factor)
}

// AdamW does one step in float64: see [device.AdamW].
func (d *host) AdamW(w device.Weights, g device.Tensor, m, v device.Moment, factor device.Tensor, s device.AdamW) {
	scale, ok := factorOf(factor)
	if !ok {
		return
	}
	b1, b2 := float64(s.Beta1), float64(s.Beta2)
	c1 := 1 - math.Pow(b1, float64(s.Step))
	c2 := 1 - math.Pow(b2, float64(s.Step))
	p, grads := join(w), floats(g)
	mean, square := widenMoment(m, w.W.N, true), widenMoment(v, w.W.N, false)
	for i := range p {
		grad := float64(grads[i]) * scale
		mean[i] = b1*mean[i] + (1-b1)*grad
		square[i] = b2*square[i] + (1-b2)*grad*grad
		decayed := float64(p[i]) * (1 - float64(s.LR)*float64(s.WeightDecay))
		p[i] = float32(decayed - float64(s.LR)*(mean[i]/c1)/(math.Sqrt(square[i]/c2)+float64(s.Eps)))
	}
	split(w, p)
	narrowMoment(m, mean, true)
	narrowMoment(v, square, false)
}

// SGD does one step in float64: see [device.SGD].
func (d *host) SGD(w device.Weights, g device.Tensor, m device.Moment, factor device.Tensor, s device.SGD) {
	scale, ok := factorOf(factor)
	if !ok {
		return
	}
	momentum := float64(s.Momentum)
	remembered := make([]float64, w.W.N)
	if momentum != 0 {
		remembered = widenMoment(m, w.W.N, true)
	}
	p, grads := join(w), floats(g)
	for i := range p {
		grad := float64(grads[i])*scale + float64(s.WeightDecay)*float64(p[i])
		remembered[i] = momentum*remembered[i] + grad
		step := remembered[i]
		if s.Nesterov {
			step = grad + momentum*step
		}
		p[i] = float32(float64(p[i]) - float64(s.LR)*step)
	}
	split(w, p)
	if momentum != 0 {
		narrowMoment(m, remembered, true)
	}
}

// Lion does one step in float64: see [device.Lion].
func (d *host) Lion(w device.Weights, g device.Tensor, m device.Moment, factor device.Tensor, s device.Lion) {
	scale, ok := factorOf(factor)
	if !ok {
		return
	}
	b1, b2 := float64(s.Beta1), float64(s.Beta2)
	p, grads, mean := join(w), floats(g), widenMoment(m, w.W.N, true)
	for i := range p {
		grad := float64(grads[i]) * scale
		decayed := float64(p[i]) * (1 - float64(s.LR)*float64(s.WeightDecay))
		p[i] = float32(decayed - float64(s.LR)*sign(b1*mean[i]+(1-b1)*grad))
		mean[i] = b2*mean[i] + (1-b2)*grad
	}
	split(w, p)
	narrowMoment(m, mean, true)
}

// Average is avg = keep·avg + (1−keep)·w in float32.
func (d *host) Average(avg, w device.Weights, keep float32) {
	sum, x := join(avg), join(w)
	for i, v := range x {
		sum[i] = float32(keep*sum[i]) + float32((1-keep)*v)
	}
	split(avg, sum)
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

// factorOf is what gradients are multiplied with, and whether it is a number.
func factorOf(t device.Tensor) (float64, bool) {
	f := float64(t.Floats()[0])
	return f, !math.IsNaN(f)
}

// join are the numbers of w: of F32 themselves, of BF16 both halves together.
func join(w device.Weights) []float32 {
	if w.W.Format == device.F32 {
		return w.W.Floats()
	}
	x, high, low := make([]float32, w.W.N), w.W.Halves(), lower(w)
	for i := range x {
		x[i] = math.Float32frombits(device.Join(high[i], low[i]))
	}
	return x
}

// split makes x the numbers of w.
func split(w device.Weights, x []float32) {
	if w.W.Format == device.F32 {
		copy(w.W.Floats(), x)
		return
	}
	high, low := w.W.Halves(), lower(w)
	for i, v := range x {
		high[i], low[i] = device.Split(math.Float32bits(v))
	}
}

// lower are the lower halves of w.
func lower(w device.Weights) []uint16 { return w.Low.Tensor(device.BF16, w.W.N).Halves() }
