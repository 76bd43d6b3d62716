package reference

import (
	"fmt"
	"slices"

	"github.com/glmflow/glmflow/gpu/device"
)

// Embed gathers rows of table.
func (d *Device) Embed(y device.Mem, table device.Matrix, ids []int32, h int) {
	want("Embed", "y", y.N, len(ids)*h)
	table.Fit("Embed", "table", table.Rows(h), h)
	row, scales := table.Format.Row(h), table.Format.Scales(h)
	for m, id := range ids {
		to, r := y.Host[m*h:(m+1)*h], int(id)
		if table.Format == device.F32 {
			copy(to, table.Floats.Host[r*h:(r+1)*h])
			continue
		}
		table.Format.Decode(to, table.Raw.Host[r*row:(r+1)*row], table.Scales.Host[r*scales:(r+1)*scales])
	}
}

// EmbedBackward adds rows of dy to the rows they came from.
func (d *Device) EmbedBackward(dtable, dy device.Mem, ids []int32, h int) {
	want("EmbedBackward", "dy", dy.N, len(ids)*h)
	for m, id := range ids {
		row := dtable.Host[int(id)*h : (int(id)+1)*h]
		for j := range row {
			row[j] += dy.Host[m*h+j]
		}
	}
}

// CrossEntropy works row by row, see aim.
func (d *Device) CrossEntropy(loss, dx, dw, x device.Mem, w device.Matrix, targets []int32, m, h, v int, scale float32, goal device.Goal) {
	want("CrossEntropy", "targets", len(targets), m)
	want("CrossEntropy", "loss", loss.N, m)
	want("CrossEntropy", "x", x.N, m*h)
	w.Fit("CrossEntropy", "w", v, h)
	w.Frozen("CrossEntropy", dw)
	if !dx.Empty() {
		want("CrossEntropy", "dx", dx.N, m*h)
		clear(dx.Host)
	}
	if !dw.Empty() {
		want("CrossEntropy", "dw", dw.N, v*h)
	}
	if goal.Anchor > 0 {
		want("CrossEntropy", "Base", goal.Base.N, m*h)
	}
	const part = 256
	table := d.operands(d.widened(w, v, h))
	grad := make([]float32, v)
	p, other, wideRow := make([]float64, v), make([]float64, v), make([]float64, h)
	logits := func(z []float64, row []float32) {
		widen(wideRow, row)
		d.each((v+part-1)/part, func(j int) { // by parts of the vocabulary
			lo, hi := j*part, min((j+1)*part, v)
			rowProduct(z[lo:hi], wideRow, table[lo*h:hi*h])
		})
	}
	for i, t := range targets {
		loss.Host[i] = 0
		if t < 0 {
			continue
		}
		if int(t) >= v {
			panic(fmt.Sprintf("reference: CrossEntropy: target %d of row %d is outside a vocabulary of %d", t, i, v))
		}
		row := d.operands(x.Host[i*h : (i+1)*h])
		logits(p, row)
		if goal.Anchor > 0 {
			logits(other, d.operands(goal.Base.Host[i*h:(i+1)*h]))
		}
		loss.Host[i] = float32(aim(p, other, int(t), goal))
		if dx.Empty() && dw.Empty() {
			continue
		}
		for j := range p {
			grad[j] = float32(float64(scale) * p[j])
		}
		g := d.operands(grad)
		if !dx.Empty() {
			weigh(dx.Host[i*h:(i+1)*h], widen(p, g), func(j int) []float32 { return table[j*h : (j+1)*h] })
		}
		if !dw.Empty() {
			d.each(v, func(j int) {
				for c, b := range row {
					dw.Host[j*h+c] += g[j] * b
				}
			})
		}
	}
}

// aim turns logits z into the gradient of what g says of them, and returns its
// value. base are the other model's logits; both are used up. With p = softmax(z)
// and b = softmax(base), the gradient is (1+λ)·p − q − λ·b.
func aim(z, base []float64, target int, g device.Goal) float64 {
	even, anchor := float64(g.Smoothing), float64(g.Anchor)
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
		z[j] = (1+anchor)*z[j] - even/float64(len(z))
	}
	z[target] -= 1 - even
	if anchor > 0 {
		loss += anchor * (lse - softmax(base))
		for j, b := range base {
			loss += anchor * b * apart[j]
			z[j] -= anchor * b
		}
	}
	return loss
}

// widen fills w with the values of x and returns it.
func widen(w []float64, x []float32) []float64 {
	for i, v := range x {
		w[i] = float64(v)
	}
	return w
}

// Axpy is y += a·x.
func (d *Device) Axpy(y device.Mem, a float32, x device.Mem) {
	want("Axpy", "x", x.N, y.N)
	for i, v := range x.Host {
		y.Host[i] += a * v
	}
}

// Scale is x *= a.
func (d *Device) Scale(x device.Mem, a float32) {
	for i := range x.Host {
		x.Host[i] *= a
	}
}

// SumSquares is Σ x².
func (d *Device) SumSquares(x device.Mem) float64 { return dot(x.Host, x.Host) }
