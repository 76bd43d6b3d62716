package reference

import (
	"github.com/glmflow/glmflow/gpu/device"
)

// Linear is y = x·Wᵀ + bias + Scale·drop(x)·Aᵀ·Bᵀ.
func (d *Device) Linear(y, x device.Mem, m int, l *device.Linear) {
	want("Linear", "y", y.N, m*l.O)
	want("Linear", "x", x.N, m*l.I)
	l.W.Fit("Linear", "W", l.O, l.I)
	d.product(y.Host, x.Host, d.widened(l.W, l.O, l.I), m, l.O, l.I, 1, false)
	if !l.Bias.Empty() {
		want("Linear", "Bias", l.Bias.N, l.O)
		for i := range y.Host {
			y.Host[i] += l.Bias.Host[i%l.O]
		}
	}
	if a := l.LoRA; a != nil {
		wantLoRA("Linear", a, l, m)
		d.product(a.U.Host, drop(x.Host, a), a.A.Host, m, a.R, l.I, 1, false)
		d.product(y.Host, a.U.Host, a.B.Host, m, l.O, a.R, a.Scale, true)
	}
}

// LinearBackward is the transpose of Linear in each of its arguments:
//
//	dx = dy·W + drop(dU·A)    dU = Scale·dy·B
//	dW += dyᵀ·x    dbias += Σ_m dy    dA += dUᵀ·drop(x)    dB += Scale·dyᵀ·U
func (d *Device) LinearBackward(dx, dy, x device.Mem, m int, l *device.Linear, g *device.LinearGrad) {
	want("LinearBackward", "dy", dy.N, m*l.O)
	if g == nil {
		g = &device.LinearGrad{}
	}
	l.W.Fit("LinearBackward", "W", l.O, l.I)
	l.W.Frozen("LinearBackward", g.W)
	if !dx.Empty() {
		want("LinearBackward", "dx", dx.N, m*l.I)
		d.product(dx.Host, dy.Host, transpose(d.widened(l.W, l.O, l.I), l.O, l.I), m, l.I, l.O, 1, false)
	}
	if !g.W.Empty() {
		want("LinearBackward", "W gradient", g.W.N, l.O*l.I)
		want("LinearBackward", "x", x.N, m*l.I)
		d.product(g.W.Host, transpose(dy.Host, m, l.O), transpose(x.Host, m, l.I), l.O, l.I, m, 1, true)
	}
	if !g.Bias.Empty() {
		want("LinearBackward", "bias gradient", g.Bias.N, l.O)
		addColumns(g.Bias.Host, dy.Host, m, l.O)
	}
	a := l.LoRA
	if a == nil {
		return
	}
	wantLoRA("LinearBackward", a, l, m)
	if !g.B.Empty() {
		want("LinearBackward", "B gradient", g.B.N, l.O*a.R)
		d.product(g.B.Host, transpose(dy.Host, m, l.O), transpose(a.U.Host, m, a.R), l.O, a.R, m, a.Scale, true)
	}
	if g.A.Empty() && dx.Empty() {
		return
	}
	want("LinearBackward", "DU", g.DU.N, m*a.R)
	d.product(g.DU.Host, dy.Host, transpose(a.B.Host, l.O, a.R), m, a.R, l.O, a.Scale, false)
	if !g.A.Empty() {
		want("LinearBackward", "A gradient", g.A.N, a.R*l.I)
		want("LinearBackward", "x", x.N, m*l.I)
		d.product(g.A.Host, transpose(g.DU.Host, m, a.R), transpose(drop(x.Host, a), m, l.I), a.R, l.I, m, 1, true)
	}
	if !dx.Empty() {
		branch := make([]float32, m*l.I)
		d.product(branch, g.DU.Host, transpose(a.A.Host, a.R, l.I), m, l.I, a.R, 1, false)
		for i, v := range drop(branch, a) {
			dx.Host[i] += v
		}
	}
}

// widened is w as floats.
func (d *Device) widened(w device.Matrix, o, i int) []float32 {
	if w.Format == device.F32 {
		return w.Floats.Host
	}
	row, scales := w.Format.Row(i), w.Format.Scales(i)
	dst := make([]float32, o*i)
	d.each(o, func(r int) {
		w.Format.Decode(dst[r*i:(r+1)*i], w.Raw.Host[r*row:(r+1)*row], w.Scales.Host[r*scales:(r+1)*scales])
	})
	return dst
}

// product is c[M,N] (+)= scale·a[M,K]·b[N,K]ᵀ.
func (d *Device) product(c, a, b []float32, m, n, k int, scale float32, add bool) {
	a, b = d.operands(a), d.operands(b)
	d.each(m, func(i int) {
		row := widen(make([]float64, k), a[i*k:(i+1)*k])
		sums := make([]float64, n)
		rowProduct(sums, row, b)
		for j, sum := range sums {
			v := float64(scale) * sum
			if add {
				v += float64(c[i*n+j])
			}
			c[i*n+j] = float32(v)
		}
	})
}

// rowProduct is sums[N] = b[N,K]·row[K]. Four columns at a time hide the latency
// of the additions.
func rowProduct(sums, row []float64, b []float32) {
	k, j := len(row), 0
	for ; j+4 <= len(sums); j += 4 {
		b0, b1, b2, b3 := b[j*k:][:k], b[(j+1)*k:][:k], b[(j+2)*k:][:k], b[(j+3)*k:][:k]
		var s0, s1, s2, s3 float64
		for i, v := range row {
			s0 += v * float64(b0[i])
			s1 += v * float64(b1[i])
			s2 += v * float64(b2[i])
			s3 += v * float64(b3[i])
		}
		sums[j], sums[j+1], sums[j+2], sums[j+3] = s0, s1, s2, s3
	}
	for ; j < len(sums); j++ {
		sums[j] = 0
		for i, v := range row {
			sums[j] += v * float64(b[j*k+i])
		}
	}
}

// dot is Σ a·b in float64. Four sums hide the latency of the additions.
func dot(a, b []float32) float64 {
	var s0, s1, s2, s3 float64
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += float64(a[i]) * float64(b[i])
		s1 += float64(a[i+1]) * float64(b[i+1])
		s2 += float64(a[i+2]) * float64(b[i+2])
		s3 += float64(a[i+3]) * float64(b[i+3])
	}
	for ; i < len(a); i++ {
		s0 += float64(a[i]) * float64(b[i])
	}
	return (s0 + s1) + (s2 + s3)
}

// transpose returns [C,R] of a[R,C].
func transpose(a []float32, r, c int) []float32 {
	t := make([]float32, len(a))
	for i := range r {
		for j := range c {
			t[j*r+i] = a[i*c+j]
		}
	}
	return t
}

// drop returns x with the branch's dropout: element i is kept, and divided by
// 1−Dropout, iff Uniform(Seed, i) ≥ Dropout.
func drop(x []float32, a *device.LoRA) []float32 {
	if a.Dropout == 0 {
		return x
	}
	y := make([]float32, len(x))
	keep := 1 / (1 - a.Dropout)
	for i, v := range x {
		if device.Uniform(a.Seed, uint64(i)) >= a.Dropout {
			y[i] = v * keep
		}
	}
	return y
}

// addColumns is sum[N] += Σ_m x[M,N].
func addColumns(sum, x []float32, m, n int) {
	for j := range n {
		s := float64(sum[j])
		for i := range m {
			s += float64(x[i*n+j])
		}
		sum[j] = float32(s)
	}
}

func wantLoRA(operator string, a *device.LoRA, l *device.Linear, m int) {
	want(operator, "LoRA A", a.A.N, a.R*l.I)
	want(operator, "LoRA B", a.B.N, l.O*a.R)
	want(operator, "LoRA U", a.U.N, m*a.R)
}
