package devicetest

import (
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

// The formulas below are the truth of the suite: float64, one loop an index,
// nothing shared with any device.

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

func scaled(x []float64, a float64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = a * v
	}
	return y
}

func added(x, y []float64) []float64 {
	z := make([]float64, len(x))
	for i := range x {
		z[i] = x[i] + y[i]
	}
	return z
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

// rotate turns the pairs of query and key heads. The angle is the float32
// product of position and frequency, as the conventions say.
func rotate(qkv []float64, pos []int32, s device.Heads, sign float64) []float64 {
	y := append([]float64(nil), qkv...)
	for m, p := range pos {
		for i := range s.Rotary / 2 {
			frequency := float32(math.Pow(s.Base, -float64(2*i)/float64(s.Rotary)))
			angle := sign * float64(float32(p)*frequency)
			for h := range s.A + s.G {
				at := m*s.Width() + h*s.D + 2*i
				re, im := qkv[at], qkv[at+1]
				y[at] = re*math.Cos(angle) - im*math.Sin(angle)
				y[at+1] = re*math.Sin(angle) + im*math.Cos(angle)
			}
		}
	}
	return y
}

// probabilities is softmax(q·kᵀ/√D) of row m and query head a over the rows
// lo ≤ j ≤ m, and the log of its denominator.
func probabilities(qkv []float64, s device.Heads, lo, m, a int) (p []float64, lse float64) {
	w, g := s.Width(), a*s.G/s.A
	sum := 0.0
	p = make([]float64, m+1-lo)
	for j := range p {
		dot := 0.0
		for c := range s.D {
			dot += qkv[m*w+a*s.D+c] * qkv[(lo+j)*w+(s.A+g)*s.D+c]
		}
		p[j] = dot / math.Sqrt(float64(s.D))
	}
	top := p[0]
	for _, v := range p {
		top = math.Max(top, v)
	}
	for j := range p {
		p[j] = math.Exp(p[j] - top)
		sum += p[j]
	}
	return scaled(p, 1/sum), top + math.Log(sum)
}

func attention(qkv []float64, starts []int32, s device.Heads) (o, lse []float64) {
	rows := int(starts[len(starts)-1])
	o, lse = make([]float64, rows*s.A*s.D), make([]float64, rows*s.A)
	for i, lo := range starts[:len(starts)-1] {
		for m := int(lo); m < int(starts[i+1]); m++ {
			for a := range s.A {
				p, l := probabilities(qkv, s, int(lo), m, a)
				lse[m*s.A+a] = l
				for j, weight := range p {
					for c := range s.D {
						v := (int(lo)+j)*s.Width() + (s.A+s.G+a*s.G/s.A)*s.D + c
						o[(m*s.A+a)*s.D+c] += weight * qkv[v]
					}
				}
			}
		}
	}
	return o, lse
}

func attentionBackward(do, qkv []float64, starts []int32, s device.Heads) []float64 {
	w := s.Width()
	d := make([]float64, len(qkv))
	for i, lo := range starts[:len(starts)-1] {
		for m := int(lo); m < int(starts[i+1]); m++ {
			for a := range s.A {
				p, _ := probabilities(qkv, s, int(lo), m, a)
				q, g := m*w+a*s.D, a*s.G/s.A
				k := func(j int) int { return (int(lo)+j)*w + (s.A+g)*s.D }
				v := func(j int) int { return (int(lo)+j)*w + (s.A+s.G+g)*s.D }
				dp, mean := make([]float64, len(p)), 0.0
				for j := range p {
					for c := range s.D {
						dp[j] += do[(m*s.A+a)*s.D+c] * qkv[v(j)+c]
						d[v(j)+c] += p[j] * do[(m*s.A+a)*s.D+c]
					}
					mean += p[j] * dp[j]
				}
				for j := range p {
					ds := p[j] * (dp[j] - mean) / math.Sqrt(float64(s.D))
					for c := range s.D {
						d[q+c] += ds * qkv[k(j)+c]
						d[k(j)+c] += ds * qkv[q+c]
					}
				}
			}
		}
	}
	return d
}

// crossEntropy returns the losses of rows and the gradient of their sum.
func crossEntropy(x, w []float64, targets []int32, m, h, v int) (nll, dx, dw []float64) {
	nll = make([]float64, m)
	g := matmul(x, flip(w, v, h), m, v, h)
	for i, t := range targets {
		row := g[i*v : (i+1)*v]
		if t < 0 {
			clear(row)
			continue
		}
		top, sum := row[0], 0.0
		for _, z := range row {
			top = math.Max(top, z)
		}
		for _, z := range row {
			sum += math.Exp(z - top)
		}
		nll[i] = top + math.Log(sum) - row[t]
		for j, z := range row {
			row[j] = math.Exp(z-top) / sum
		}
		row[t]--
	}
	return nll, matmul(g, w, m, h, v), matmul(flip(g, m, v), x, v, h, m)
}
