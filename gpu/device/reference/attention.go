package reference

import (
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

// Rotary rotates pair i of a head at position p by the angle p·base^(−2i/P).
func (d *host) Rotary(qkv device.Tensor, p *device.Pass, s device.Heads, inverse bool) {
	rows, frequencies := floats(qkv), s.Frequencies()
	for m, position := range batch(p).Positions {
		for i, f := range frequencies {
			sin, cos := math.Sincos(float64(float32(position) * f))
			if inverse {
				sin = -sin
			}
			for a := range s.A + s.G { // queries, then keys; values stay
				pair := head(rows, s, m, a)[2*i:]
				x, y := float64(pair[0]), float64(pair[1])
				pair[0] = float32(x*cos - y*sin)
				pair[1] = float32(y*cos + x*sin)
			}
		}
	}
	store(qkv, rows)
}

// Attention is softmax(q·kᵀ/√D)·v of every row over the prefix, the rows before
// it in its sequence and itself. Query head a reads group a/(A/G).
func (d *host) Attention(o, lse, qkv device.Tensor, p *device.Pass, s device.Heads, x *device.Prefix) {
	out, sums, rows := floats(o), lse.Floats(), floats(qkv)
	for i := range p.S {
		first, n := sequence(batch(p), i)
		c := before(x, s)
		past := len(c.k)
		c.rows(rows, first, n, s)
		d.each(n*s.A, func(at int) {
			r, a := at/s.A, at%s.A
			at += first * s.A
			sums[at] = float32(c.attend(out[at*s.D:(at+1)*s.D], rows, s, first+r, a, past+r+1))
		})
	}
	store(o, out)
}

// AttentionBackward, with P = exp(q·kᵀ/√D − lse) and δ = Σ_c do·o:
//
//	dS = P ⊙ (do·vᵀ − δ)    dq = dS·k/√D    dk = Σ_heads dSᵀ·q/√D    dv = Σ_heads Pᵀ·do
func (d *host) AttentionBackward(dqkv, do, o, lse, qkv device.Tensor, p *device.Pass, s device.Heads, x, dx *device.Prefix) {
	grad, outGrad, out, sums, rows := floats(dqkv), floats(do), floats(o), lse.Floats(), floats(qkv)
	contexts := make([]context, p.S)
	for i := range contexts {
		first, n := sequence(batch(p), i)
		contexts[i] = before(x, s)
		contexts[i].rows(rows, first, n, s)
	}
	fixed, dFixed := prefixed(x), before(dx, s)
	root, per := math.Sqrt(float64(s.D)), s.A/s.G
	d.each(s.G, func(g int) { // a group owns its keys, its values and its query heads
		sum := make([]float64, p.M*s.Width()) // the gradient, in float64
		at := func(m, head int) []float64 { return sum[m*s.Width()+head*s.D:][:s.D] }
		table := make([]float64, 2*fixed*s.D) // that of the prefix: keys, then values
		for a := g * per; a < (g+1)*per; a++ {
			for i, c := range contexts {
				first, n := sequence(batch(p), i)
				for m := first; m < first+n; m++ {
					line := m*s.A + a
					q, gO := head(rows, s, m, a), outGrad[line*s.D:(line+1)*s.D]
					delta := dot(gO, out[line*s.D:(line+1)*s.D])
					for j := range fixed + m + 1 - first {
						k, v := c.k[j][g*s.D:][:s.D], c.v[j][g*s.D:][:s.D]
						var dk, dv []float64
						if j < fixed {
							dk, dv = table[j*s.D:], table[(fixed+j)*s.D:]
						} else {
							dk, dv = at(first+j-fixed, s.A+g), at(first+j-fixed, s.A+s.G+g)
						}
						weight := math.Exp(dot(q, k)/root - float64(sums[line]))
						dS := weight * (dot(gO, v) - delta) / root
						axpy(at(m, a), dS, k)
						axpy(dk, dS, q)
						axpy(dv, weight, gO)
					}
				}
			}
		}
		if !dqkv.Empty() {
			for m := range p.M {
				for a := g * per; a < (g+1)*per; a++ {
					round(head(grad, s, m, a), at(m, a))
				}
				round(head(grad, s, m, s.A+g), at(m, s.A+g))
				round(head(grad, s, m, s.A+s.G+g), at(m, s.A+s.G+g))
			}
		}
		for j := range dFixed.k {
			for i := range s.D {
				dFixed.k[j][g*s.D+i] += float32(table[j*s.D+i])
				dFixed.v[j][g*s.D+i] += float32(table[(fixed+j)*s.D+i])
			}
		}
	})
	store(dqkv, grad)
}

// AttentionCached writes each row's key and value into its page, then attends
// over the pages up to that row.
func (d *host) AttentionCached(o, qkv device.Tensor, cache device.Cache, p *device.Pass, s device.Heads, x *device.Prefix) {
	out, rows := floats(o), floats(qkv)
	b, line := batch(p), s.G*s.D
	for i := range p.S {
		first, n := sequence(b, i)
		past := int(b.Past[i])
		c := before(x, s)
		fixed := len(c.k)
		for j := range past + n {
			page := int(b.Pages[i*p.Pages+j/device.PagePositions])
			at := (page*device.PagePositions + j%device.PagePositions) * line
			key, value := cache.K.Slice(at, at+line), cache.V.Slice(at, at+line)
			if j >= past {
				row := rows[(first+j-past)*s.Width()+s.A*s.D:]
				store(key, row[:line])
				store(value, row[line:2*line])
			}
			c.k, c.v = append(c.k, floats(key)), append(c.v, floats(value))
		}
		d.each(n*s.A, func(at int) {
			r, a := at/s.A, at%s.A
			at += first * s.A
			c.attend(out[at*s.D:(at+1)*s.D], rows, s, first+r, a, fixed+past+r+1)
		})
	}
	store(o, out)
}

// A context is what rows of a sequence attend to: keys and values of positions
// in their order, those of all groups in one row.
type context struct{ k, v [][]float32 }

// before is the context that a prefix makes; x may be nil.
func before(x *device.Prefix, s device.Heads) context {
	var c context
	for j := range prefixed(x) {
		row := x.Table.Floats()[j*x.Stride : (j+1)*x.Stride]
		c.k, c.v = append(c.k, row[x.K:][:s.G*s.D]), append(c.v, row[x.V:][:s.G*s.D])
	}
	return c
}

// prefixed is the length of a prefix, 0 without one.
func prefixed(x *device.Prefix) int {
	if x == nil {
		return 0
	}
	return x.N
}

// rows appends n rows of qkv.
func (c *context) rows(qkv []float32, first, n int, s device.Heads) {
	line := s.G * s.D
	for m := first; m < first+n; m++ {
		row := qkv[m*s.Width()+s.A*s.D:]
		c.k, c.v = append(c.k, row[:line]), append(c.v, row[line:2*line])
	}
}

// attend is o[D] = softmax(q·kᵀ/√D)·v of head a of row m over the first n
// positions. It returns the log of the softmax's denominator.
func (c *context) attend(o, qkv []float32, s device.Heads, m, a, n int) float64 {
	q, group := head(qkv, s, m, a), a/(s.A/s.G)*s.D
	w := make([]float64, n)
	for j := range w {
		w[j] = dot(q, c.k[j][group:]) / math.Sqrt(float64(s.D))
	}
	lse := softmax(w)
	weigh(o, w, func(j int) []float32 { return c.v[j][group:][:s.D] })
	return lse
}

// head is head h of row m, counting queries, then keys, then values.
func head(qkv []float32, s device.Heads, m, h int) []float32 {
	return qkv[m*s.Width()+h*s.D:][:s.D]
}

// softmax replaces scores by their softmax and returns the log of its sum.
func softmax(p []float64) float64 {
	top, sum := math.Inf(-1), 0.0
	for _, v := range p {
		top = max(top, v)
	}
	for j, v := range p {
		p[j] = math.Exp(v - top)
		sum += p[j]
	}
	for j := range p {
		p[j] /= sum
	}
	return top + math.Log(sum)
}
