package devicetest

import (
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

// rotate turns the pairs of query and key heads. The angle is the float32
// product of position and frequency, as the conventions say.
func rotate(qkv []float64, positions []int32, s device.Heads, sign float64) []float64 {
	y := append([]float64(nil), qkv...)
	for m, p := range positions {
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

// fixed is a prefix of n positions, [N,G,D] without gaps.
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

// attend is what row m, of a sequence that begins with row lo, gets of all heads.
func attend(qkv []float64, s device.Heads, f fixed, lo, m int) (o, lse []float64) {
	o, lse = make([]float64, s.A*s.D), make([]float64, s.A)
	for a := range s.A {
		p, l := probabilities(qkv, s, f, lo, m, a)
		lse[a] = l
		for j, weight := range p {
			v := f.v[min(j, f.n)*s.G*s.D:]
			if j >= f.n {
				v = qkv[(lo+j-f.n)*s.Width()+(s.A+s.G)*s.D:]
			}
			for c := range s.D {
				o[a*s.D+c] += weight * v[a*s.G/s.A*s.D+c]
			}
		}
	}
	return o, lse
}

func attention(qkv []float64, cu []int32, s device.Heads, f fixed) (o, lse []float64) {
	for i, lo := range cu[:len(cu)-1] {
		for m := lo; m < cu[i+1]; m++ {
			oRow, lseRow := attend(qkv, s, f, int(lo), int(m))
			o, lse = append(o, oRow...), append(lse, lseRow...)
		}
	}
	return o, lse
}

// attentionBackward returns the gradients of the rows and of the prefix. o is
// what the forward pass stored: a device has Σ do·o from it, rounded or not.
func attentionBackward(do, o, qkv []float64, cu []int32, s device.Heads, f fixed) ([]float64, fixed) {
	w := s.Width()
	d, df := make([]float64, len(qkv)), fixed{f.n, make([]float64, len(f.k)), make([]float64, len(f.v))}
	for i, lo := range cu[:len(cu)-1] {
		for m := int(lo); m < int(cu[i+1]); m++ {
			for a := range s.A {
				p, _ := probabilities(qkv, s, f, int(lo), m, a)
				q, g, out := m*w+a*s.D, a*s.G/s.A, (m*s.A+a)*s.D
				// part is key or value j of the group, in x or in the prefix y.
				part := func(x, y []float64, head, j int) []float64 {
					if j < f.n {
						return y[(j*s.G+g)*s.D:]
					}
					return x[(int(lo)+j-f.n)*w+(head+g)*s.D:]
				}
				delta := 0.0
				for c := range s.D {
					delta += do[out+c] * o[out+c]
				}
				for j := range p {
					v, dv := part(qkv, f.v, s.A+s.G, j), part(d, df.v, s.A+s.G, j)
					k, dk := part(qkv, f.k, s.A, j), part(d, df.k, s.A, j)
					dp := 0.0
					for c := range s.D {
						dp += do[out+c] * v[c]
						dv[c] += p[j] * do[out+c]
					}
					ds := p[j] * (dp - delta) / math.Sqrt(float64(s.D))
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
