package reference

import "github.com/glmflow/glmflow/gpu/device"

// Linear is y = x·Wᵀ + bias + Scale·drop(x)·Aᵀ·Bᵀ.
func (d *host) Linear(y, x device.Tensor, m int, l *device.Linear) {
	out, in := floats(y), floats(x)
	d.product(out, in, d.widened(l.W, l.O, l.I), m, l.O, l.I, 1, false)
	if !l.Bias.Empty() {
		bias := l.Bias.Floats()
		for i := range out {
			out[i] += bias[i%l.O]
		}
	}
	if a := l.LoRA; a != nil {
		d.branch(out, dropped(in, a), 0, m, a, l)
	}
	if len(l.Adapters) > 0 {
		b := batch(l.Pass)
		for s, which := range b.Adapters {
			if first, n := sequence(b, s); which >= 0 {
				d.branch(out[first*l.O:], in[first*l.I:], first, n, &l.Adapters[which], l)
			}
		}
	}
	store(y, out)
}

// branch adds Scale·x·Aᵀ·Bᵀ to n rows, of which the first is row first of a pass.
func (d *host) branch(y, x []float32, first, n int, a *device.LoRA, l *device.Linear) {
	u := a.U.Floats()[first*a.R : (first+n)*a.R]
	d.product(u, x[:n*l.I], a.A.Floats(), n, a.R, l.I, 1, false)
	d.product(y, u, a.B.Floats(), n, l.O, a.R, a.Scale, true)
}

// LinearBackward is the transpose of Linear in each of its arguments:
//
//	dx = dy·W + drop(dU·A)    dU = Scale·dy·B
//	dW += dyᵀ·x    dbias += Σ_m dy    dA += dUᵀ·drop(x)    dB += Scale·dyᵀ·U
func (d *host) LinearBackward(dx, dy, x device.Tensor, m int, l *device.Linear, g *device.LinearGrad) {
	in, out := floats(dx), floats(dy)
	across := transpose(out, m, l.O)
	if !dx.Empty() {
		d.product(in, out, transpose(d.widened(l.W, l.O, l.I), l.O, l.I), m, l.I, l.O, 1, false)
	}
	if !g.W.Empty() {
		dw := floats(g.W)
		d.product(dw, across, transpose(floats(x), m, l.I), l.O, l.I, m, 1, true)
		store(g.W, dw)
	}
	if !g.Bias.Empty() {
		addColumns(g.Bias.Floats(), out, m, l.O)
	}
	if a := l.LoRA; a != nil {
		if !g.B.Empty() {
			d.product(g.B.Floats(), across, transpose(a.U.Floats(), m, a.R), l.O, a.R, m, a.Scale, true)
		}
		if !g.A.Empty() || !dx.Empty() {
			d.product(g.DU.Floats(), out, transpose(a.B.Floats(), l.O, a.R), m, a.R, l.O, a.Scale, false)
		}
		if !g.A.Empty() {
			d.product(g.A.Floats(), transpose(g.DU.Floats(), m, a.R), transpose(dropped(floats(x), a), m, l.I), a.R, l.I, m, 1, true)
		}
		if !dx.Empty() {
			branch := make([]float32, m*l.I)
			d.product(branch, g.DU.Floats(), transpose(a.A.Floats(), a.R, l.I), m, l.I, a.R, 1, false)
			for i, v := range dropped(branch, a) {
				in[i] += v
			}
		}
	}
	store(dx, in)
}

// Merge adds the branch row by row, in float32 throughout.
func (d *host) Merge(l *device.Linear) {
	a := l.LoRA
	down, up := a.A.Floats(), a.B.Floats()
	size := l.W.Format.Row(l.I)
	d.each(l.O, func(o int) {
		row, stored := make([]float32, l.I), l.W.Data.Host[o*size:(o+1)*size]
		l.W.Format.Decode(row, stored, nil)
		for k := range a.R {
			f := a.Scale * up[o*a.R+k]
			for j, v := range down[k*l.I : (k+1)*l.I] {
				row[j] += f * v
			}
		}
		l.W.Format.Encode(stored, nil, row)
	})
}

// dropped is x with the branch's dropout.
func dropped(x []float32, a *device.LoRA) []float32 {
	if a.Dropout == 0 {
		return x
	}
	y := make([]float32, len(x))
	drop(y, x, a.Dropout, a.Seed)
	return y
}
