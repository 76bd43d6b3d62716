package devicetest

import (
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

// The formulas of the oracle are the truth of the suite: float64, one loop an
// index, nothing shared with any device.

// matmul is a[M,K]·b[K,N].
func matmul(a, b []float64, m, n, k int) []float64 {
	c := make([]float64, m*n)
	for i := range m {
		for l := range k {
			for j := range n {
				c[i*n+j] += a[i*k+l] * b[l*n+j]
			}
		}
	}
	return c
}

// flip transposes a[R,C].
func flip(a []float64, r, c int) []float64 {
	t := make([]float64, r*c)
	for i := range t {
		t[i] = a[i%r*c+i/r]
	}
	return t
}

// columnSums is Σ_m x[M,N].
func columnSums(x []float64, m, n int) []float64 {
	sums := make([]float64, n)
	for i := range m * n {
		sums[i%n] += x[i]
	}
	return sums
}

// dropped is inverted dropout with the counter-based mask.
func dropped(x []float64, p float32, seed uint64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		if device.Uniform(seed, uint64(i)) >= p {
			y[i] = v / (1 - float64(p))
		}
	}
	return y
}

// norm is RMSNorm without the residual.
func norm(x, w []float64, m, h int, eps float64) (y, rstd []float64) {
	y, rstd = make([]float64, m*h), make([]float64, m)
	for i := range m {
		mean := 0.0
		for j := range h {
			mean += x[i*h+j] * x[i*h+j] / float64(h)
		}
		rstd[i] = math.Pow(mean+eps, -0.5)
		for j := range h {
			y[i*h+j] = x[i*h+j] * rstd[i] * w[j]
		}
	}
	return y, rstd
}

func normBackward(dy, x, w, rstd []float64, m, h int) (dx, dw []float64) {
	dx, dw = make([]float64, m*h), make([]float64, h)
	for i := range m {
		inner := 0.0
		for j := range h {
			inner += dy[i*h+j] * w[j] * x[i*h+j]
			dw[j] += dy[i*h+j] * x[i*h+j] * rstd[i]
		}
		for j := range h {
			dx[i*h+j] = rstd[i]*dy[i*h+j]*w[j] - math.Pow(rstd[i], 3)/float64(h)*inner*x[i*h+j]
		}
	}
	return dx, dw
}

func swiglu(u []float64, m, f int) []float64 {
	z := make([]float64, m*f)
	for i := range m {
		for j := range f {
			a, b := u[i*2*f+j], u[i*2*f+f+j]
			z[i*f+j] = a / (1 + math.Exp(-a)) * b
		}
	}
	return z
}

func swigluBackward(dz, u []float64, m, f int) []float64 {
	du := make([]float64, 2*m*f)
	for i := range m {
		for j := range f {
			a, b := u[i*2*f+j], u[i*2*f+f+j]
			s := 1 / (1 + math.Exp(-a))
			du[i*2*f+j] = dz[i*f+j] * b * (s + a*s*(1-s))
			du[i*2*f+f+j] = dz[i*f+j] * a * s
		}
	}
	return du
}
