package reference

import "github.com/glmflow/glmflow/gpu/device"

// widened are the numbers of w [O,I].
func (d *host) widened(w device.Matrix, o, i int) []float32 {
	if w.Format == device.F32 {
		if x, ok := device.AsFloats(w.Data.Host); ok {
			return x
		}
	}
	row, per := w.Format.Row(i), w.Format.Scales(i)
	scales := w.Scales.Floats()
	x := make([]float32, o*i)
	d.each(o, func(r int) {
		w.Format.Decode(x[r*i:(r+1)*i], w.Data.Host[r*row:(r+1)*row], scales[r*per:(r+1)*per])
	})
	return x
}

// product is c[M,N] (+)= scale·a[M,K]·b[N,K]ᵀ.
func (d *host) product(c, a, b []float32, m, n, k int, scale float32, add bool) {
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

// weigh is o = Σ_j p[j]·row(j).
func weigh(o []float32, p []float64, row func(j int) []float32) {
	sum := make([]float64, len(o))
	for j, w := range p {
		axpy(sum, w, row(j))
	}
	round(o, sum)
}

func axpy(y []float64, a float64, x []float32) {
	for i, v := range x {
		y[i] += a * float64(v)
	}
}

func round(y []float32, x []float64) {
	for i, v := range x {
		y[i] = float32(v)
	}
}

// widen fills w with the values of x and returns it.
func widen(w []float64, x []float32) []float64 {
	for i, v := range x {
		w[i] = float64(v)
	}
	return w
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
