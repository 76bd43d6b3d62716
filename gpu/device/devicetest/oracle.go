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

// A fixed is a prefix in float64, [N,G,D] without gaps.
type fixed struct {
	n    int
	k, v []float64
}

// probabilities is softmax(q·kᵀ/√D) of row m and query head a over the prefix
// and the rows lo ≤ j ≤ m, and the log of its denominator.
func probabilities(qkv []float64, s device.Heads, f fixed, lo, m, a int) (p []float64, lse float64) {
	w, g := s.Width(), a*s.G/s.A
	sum := 0.0
	p = make([]float64, f.n+m+1-lo)
	for j := range p {
		k := f.k[min(j, f.n)*s.G*s.D:]
		if j >= f.n {
			k = qkv[(lo+j-f.n)*w+s.A*s.D:]
		}
		dot := 0.0
		for c := range s.D {
			dot += qkv[m*w+a*s.D+c] * k[g*s.D+c]
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

func attention(qkv []float64, starts []int32, s device.Heads, f fixed) (o, lse []float64) {
	rows := int(starts[len(starts)-1])
	o, lse = make([]float64, rows*s.A*s.D), make([]float64, rows*s.A)
	for i, lo := range starts[:len(starts)-1] {
		for m := int(lo); m < int(starts[i+1]); m++ {
			for a := range s.A {
				p, l := probabilities(qkv, s, f, int(lo), m, a)
				lse[m*s.A+a] = l
				for j, weight := range p {
					v := f.v[min(j, f.n)*s.G*s.D:]
					if j >= f.n {
						v = qkv[(int(lo)+j-f.n)*s.Width()+(s.A+s.G)*s.D:]
					}
					for c := range s.D {
						o[(m*s.A+a)*s.D+c] += weight * v[a*s.G/s.A*s.D+c]
					}
				}
			}
		}
	}
	return o, lse
}

// attentionBackward returns the gradients of the rows and of the prefix.
func attentionBackward(do, qkv []float64, starts []int32, s device.Heads, f fixed) ([]float64, fixed) {
	w := s.Width()
	d, df := make([]float64, len(qkv)), fixed{f.n, make([]float64, len(f.k)), make([]float64, len(f.v))}
	for i, lo := range starts[:len(starts)-1] {
		for m := int(lo); m < int(starts[i+1]); m++ {
			for a := range s.A {
				p, _ := probabilities(qkv, s, f, int(lo), m, a)
				q, g := m*w+a*s.D, a*s.G/s.A
				// part is key or value j of the group, in x or in the prefix y.
				part := func(x, y []float64, head, j int) []float64 {
					if j < f.n {
						return y[(j*s.G+g)*s.D:]
					}
					return x[(int(lo)+j-f.n)*w+(head+g)*s.D:]
				}
				dp, mean := make([]float64, len(p)), 0.0
				for j := range p {
					v, dv := part(qkv, f.v, s.A+s.G, j), part(d, df.v, s.A+s.G, j)
					for c := range s.D {
						dp[j] += do[(m*s.A+a)*s.D+c] * v[c]
						dv[c] += p[j] * do[(m*s.A+a)*s.D+c]
					}
					mean += p[j] * dp[j]
				}
				for j := range p {
					ds := p[j] * (dp[j] - mean) / math.Sqrt(float64(s.D))
					k, dk := part(qkv, f.k, s.A, j), part(d, df.k, s.A, j)
					for c := range s.D {
						d[q+c] += ds * k[c]
						dk[c] += ds * qkv[q+c]
					}
				}
			}
		}
	}
	return d, df
}

// crossEntropy returns the losses of rows and the gradient of their sum. base
// and the goal's numbers are those of device.Goal.
func crossEntropy(x, w, base []float64, targets []int32, m, h, v int, smoothing, anchor float64) (loss, dx, dw []float64) {
	loss = make([]float64, m)
	g := matmul(x, flip(w, v, h), m, v, h)
	other := make([]float64, m*v)
	if anchor > 0 {
		other = matmul(base, flip(w, v, h), m, v, h)
	}
	for i, t := range targets {
		row, b := g[i*v:(i+1)*v], other[i*v:(i+1)*v]
		if t < 0 {
			clear(row)
			continue
		}
		logSoftmax(row)
		logSoftmax(b)
		for j, l := range row {
			q := smoothing / float64(v)
			if j == int(t) {
				q += 1 - smoothing
			}
			loss[i] += -q*l + anchor*math.Exp(b[j])*(b[j]-l)
			row[j] = (1+anchor)*math.Exp(l) - q - anchor*math.Exp(b[j])
		}
	}
	return loss, matmul(g, w, m, h, v), matmul(flip(g, m, v), x, v, h, m)
}

func logSoftmax(z []float64) {
	top, sum := z[0], 0.0
	for _, v := range z {
		top = math.Max(top, v)
	}
	for _, v := range z {
		sum += math.Exp(v - top)
	}
	for j := range z {
		z[j] -= top + math.Log(sum)
	}
}
