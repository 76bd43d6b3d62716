package reference

import (
	"slices"

	"github.com/glmflow/glmflow/gpu/device"
)

// CrossEntropy works row by row, see aim.
func (d *host) CrossEntropy(loss device.Tensor, hits device.Ints, dx, x device.Tensor, p *device.Pass, l *device.Head, g *device.HeadGrad, scale float32, o device.Objective) {
	h, v, b := l.H, l.V, batch(p)
	in, dIn, dw, values, hit := floats(x), floats(dx), floats(g.W), loss.Floats(), hits.Host()
	var reference []float32
	if o.KL > 0 {
		reference = floats(o.Reference)
	}
	clear(dIn)
	clear(hit)
	table := d.operands(d.widened(l.W, v, h))
	grad, dBias := make([]float32, v), make([]float64, v)
	z, other := make([]float64, v), make([]float64, v)
	for i, t := range b.Targets {
		values[i] = 0
		if t < 0 {
			continue
		}
		row := d.operands(in[i*h : (i+1)*h])
		d.logits(z, row, table, l.Bias.Floats())
		if !hits.Empty() {
			hit[i] = likeliest(z, int(t))
		}
		if o.KL > 0 {
			d.logits(other, d.operands(reference[i*h:(i+1)*h]), table, l.Bias.Floats())
		}
		values[i] = float32(aim(z, other, int(t), o))
		if dx.Empty() && g.W.Empty() && g.Bias.Empty() {
			continue
		}
		factor := float64(scale)
		if len(b.Weights) > 0 {
			factor *= float64(b.Weights[i])
		}
		for j, dz := range z {
			grad[j] = float32(factor * dz)
			dBias[j] += float64(grad[j])
		}
		dz := d.operands(grad)
		if !dx.Empty() {
			weigh(dIn[i*h:(i+1)*h], widen(z, dz), func(j int) []float32 { return table[j*h : (j+1)*h] })
		}
		if !g.W.Empty() {
			d.each(v, func(j int) {
				for c, b := range row {
					dw[j*h+c] += dz[j] * b
				}
			})
		}
	}
	store(dx, dIn)
	store(g.W, dw)
	for j, sum := range g.Bias.Floats() {
		g.Bias.Floats()[j] = float32(float64(sum) + dBias[j])
	}
}

// logits is z[V] = table[V,H]·x[H] + bias, by parts of the vocabulary.
func (d *host) logits(z []float64, x, table, bias []float32) {
	const part = 256
	h, row := len(x), widen(make([]float64, len(x)), x)
	d.each((len(z)+part-1)/part, func(i int) {
		from, to := i*part, min((i+1)*part, len(z))
		rowProduct(z[from:to], row, table[from*h:to*h])
	})
	for j, b := range bias {
		z[j] += float64(b)
	}
}

// likeliest is 1 if target is the first of the highest logits, else 0, and −1 if
// a logit is not finite. Logits are compared in float32, as Linear stores them.
func likeliest(z []float64, target int) int32 {
	best := float32(z[target])
	hit := int32(1)
	for j, v := range z {
		v := float32(v)
		if v-v != 0 {
			return -1
		}
		if v > best || v == best && j < target {
			hit = 0
		}
	}
	return hit
}

// aim turns logits z into the gradient of what o says of them, and returns its
// value. base are the reference's logits; both are used up. With p = softmax(z)
// and r = softmax(base), the gradient is (1+λ)·p − q − λ·r.
func aim(z, base []float64, target int, o device.Objective) float64 {
	even, kl := float64(o.Smoothing), float64(o.KL)
	goal, mean, apart := z[target], 0.0, slices.Clone(base)
	for j, v := range z {
		mean += v / float64(len(z))
		apart[j] -= v
	}
	lse := softmax(z)
	loss := lse - goal
	if even > 0 {
		loss = (1-even)*loss + even*(lse-mean)
	}
	for j := range z {
		z[j] = (1+kl)*z[j] - even/float64(len(z))
	}
	z[target] -= 1 - even
	if kl > 0 {
		loss += kl * (lse - softmax(base))
		for j, r := range base {
			loss += kl * r * apart[j]
			z[j] -= kl * r
		}
	}
	return loss
}
