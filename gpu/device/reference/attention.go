package reference

import (
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

// Rotary rotates pair i of a head at position p by the angle p·base^(−2i/P).
func (d *Device) Rotary(qkv device.Mem, pos []int32, s device.Heads, inverse bool) {
	width := s.Width()
	want("Rotary", "qkv", qkv.N, len(pos)*width)
	frequencies := s.Frequencies()
	for m, p := range pos {
		for i, f := range frequencies {
			sin, cos := math.Sincos(float64(float32(p) * f))
			if inverse {
				sin = -sin
			}
			for head := range s.A + s.G { // queries, then keys; values stay
				pair := qkv.Host[m*width+head*s.D+2*i:]
				x, y := float64(pair[0]), float64(pair[1])
				pair[0] = float32(x*cos - y*sin)
				pair[1] = float32(y*cos + x*sin)
			}
		}
	}
}

// Attention is softmax(q·kᵀ/√D)·v of every row over the prefix, the rows before
// it in its sequence and itself. Query head a reads group a/(A/G).
func (d *Device) Attention(o, lse, qkv device.Mem, starts []int32, s device.Heads, p *device.Prefix) {
	rows := int(starts[len(starts)-1])
	want("Attention", "qkv", qkv.N, rows*s.Width())
	want("Attention", "o", o.N, rows*s.A*s.D)
	want("Attention", "lse", lse.N, rows*s.A)
	n := before("Attention", p, s)
	first := firsts(starts)
	d.each(rows*s.A, func(i int) {
		m, a := i/s.A, i%s.A
		q := head(qkv, s, m, a)
		w := make([]float64, n+m+1-first[m])
		for j := range w {
			w[j] = dot(q, keyAt(qkv, p, s, first[m], j, a)) / math.Sqrt(float64(s.D))
		}
		lse.Host[i] = float32(softmax(w))
		weigh(o.Host[i*s.D:(i+1)*s.D], w, func(j int) []float32 { return valueAt(qkv, p, s, first[m], j, a) })
	})
}

// AttentionBackward, with P = exp(q·kᵀ/√D − lse) and δ = Σ_c do·o:
//
//	dS = P ⊙ (do·vᵀ − δ)    dq = dS·k/√D    dk = Σ_heads dSᵀ·q/√D    dv = Σ_heads Pᵀ·do
func (d *Device) AttentionBackward(dqkv, do, o, lse, qkv device.Mem, starts []int32, s device.Heads, p, dp *device.Prefix) {
	rows := int(starts[len(starts)-1])
	if !dqkv.Empty() {
		want("AttentionBackward", "dqkv", dqkv.N, rows*s.Width())
	}
	want("AttentionBackward", "do", do.N, rows*s.A*s.D)
	want("AttentionBackward", "o", o.N, rows*s.A*s.D)
	want("AttentionBackward", "lse", lse.N, rows*s.A)
	want("AttentionBackward", "qkv", qkv.N, rows*s.Width())
	n := before("AttentionBackward", p, s)
	if dp != nil && before("AttentionBackward", dp, s) != n {
		panic("reference: AttentionBackward: the prefix and its gradient have different sizes")
	}
	root := math.Sqrt(float64(s.D))
	first := firsts(starts)
	d.each(s.G, func(g int) { // a group owns its keys, its values and its query heads
		sum := make([]float64, rows*s.Width()) // the gradient, in float64
		at := func(m, head int) []float64 { return sum[m*s.Width()+head*s.D:][:s.D] }
		fixed := make([]float64, 2*n*s.D) // that of the prefix: keys, then values
		per := s.A / s.G
		for a := g * per; a < (g+1)*per; a++ {
			for m := range rows {
				i := m*s.A + a
				q, gO := head(qkv, s, m, a), do.Host[i*s.D:(i+1)*s.D]
				delta := dot(gO, o.Host[i*s.D:(i+1)*s.D])
				for j := range n + m + 1 - first[m] {
					k, v := keyAt(qkv, p, s, first[m], j, a), valueAt(qkv, p, s, first[m], j, a)
					var dk, dv []float64
					if j < n {
						dk, dv = fixed[j*s.D:], fixed[(n+j)*s.D:]
					} else {
						dk, dv = at(first[m]+j-n, s.A+g), at(first[m]+j-n, s.A+s.G+g)
					}
					p := math.Exp(dot(q, k)/root - float64(lse.Host[i]))
					dS := p * (dot(gO, v) - delta) / root
					axpy(at(m, a), dS, k)
					axpy(dk, dS, q)
					axpy(dv, p, gO)
				}
			}
		}
		if !dqkv.Empty() {
			for m := range rows {
				for a := g * per; a < (g+1)*per; a++ {
					round(head(dqkv, s, m, a), at(m, a))
				}
				round(head(dqkv, s, m, s.A+g), at(m, s.A+g))
				round(head(dqkv, s, m, s.A+s.G+g), at(m, s.A+s.G+g))
			}
		}
		if dp != nil {
			for j := range n {
				for c := range s.D {
					dp.K.Host[j*dp.Stride+g*s.D+c] += float32(fixed[j*s.D+c])
					dp.V.Host[j*dp.Stride+g*s.D+c] += float32(fixed[(n+j)*s.D+c])
				}
			}
		}
	})
}

// AttentionCached appends each row's key and value to its slot, then attends
// over the slot up to that row.
func (d *Device) AttentionCached(o, qkv device.Mem, cache device.Cache, slots, past, starts []int32, s device.Heads, p *device.Prefix) {
	rows := int(starts[len(starts)-1])
	want("AttentionCached", "qkv", qkv.N, rows*s.Width())
	want("AttentionCached", "o", o.N, rows*s.A*s.D)
	before := before("AttentionCached", p, s)
	line := s.G * s.D // one position of a cache
	for i, slot := range slots {
		n := int(starts[i+1] - starts[i])
		base := int(slot) * cache.Max * line
		if int(past[i])+n > cache.Max || base+cache.Max*line > cache.K.N || cache.V.N != cache.K.N {
			panic("reference: AttentionCached: the cache is too small for its slots or positions")
		}
		for r := range n {
			m, at := int(starts[i])+r, base+(int(past[i])+r)*line
			copy(cache.K.Host[at:at+line], qkv.Host[m*s.Width()+s.A*s.D:])
			copy(cache.V.Host[at:at+line], qkv.Host[m*s.Width()+(s.A+s.G)*s.D:])
		}
		d.each(n*s.A, func(r int) {
			m, a := int(starts[i])+r/s.A, r%s.A
			group := a / (s.A / s.G) * s.D
			key := func(j int) []float32 {
				if j < before {
					return p.K.Host[j*p.Stride+group:][:s.D]
				}
				return cache.K.Host[base+(j-before)*line+group:][:s.D]
			}
			value := func(j int) []float32 {
				if j < before {
					return p.V.Host[j*p.Stride+group:][:s.D]
				}
				return cache.V.Host[base+(j-before)*line+group:][:s.D]
			}
			w := make([]float64, before+int(past[i])+r/s.A+1)
			for j := range w {
				w[j] = dot(head(qkv, s, m, a), key(j)) / math.Sqrt(float64(s.D))
			}
			softmax(w)
			weigh(o.Host[(m*s.A+a)*s.D:(m*s.A+a+1)*s.D], w, value)
		})
	}
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

// weigh is o = Σ_j p[j]·row(j).
func weigh(o []float32, p []float64, row func(j int) []float32) {
	sum := make([]float64, len(o))
	for j, w := range p {
		axpy(sum, w, row(j))
	}
	round(o, sum)
}

// firsts gives, for each row, the first row of its sequence.
func firsts(starts []int32) []int {
	f := make([]int, starts[len(starts)-1])
	for i, s := range starts[:len(starts)-1] {
		for m := s; m < starts[i+1]; m++ {
			f[m] = int(s)
		}
	}
	return f
}

// head is head h of row m, counting queries, then keys, then values.
func head(qkv device.Mem, s device.Heads, m, h int) []float32 {
	at := m*s.Width() + h*s.D
	return qkv.Host[at : at+s.D]
}

// before is the length of a prefix, 0 without one.
func before(operator string, p *device.Prefix, s device.Heads) int {
	if p == nil {
		return 0
	}
	if !p.Fits(s) {
		panic("reference: " + operator + ": the prefix has the wrong size")
	}
	return p.N
}

// keyAt is the j-th key that query head a reads in the sequence that begins
// with row first, counting those of the prefix.
func keyAt(qkv device.Mem, p *device.Prefix, s device.Heads, first, j, a int) []float32 {
	g := a / (s.A / s.G)
	if p != nil && j < p.N {
		return p.K.Host[j*p.Stride+g*s.D:][:s.D]
	} else if p != nil {
		j -= p.N
	}
	return head(qkv, s, first+j, s.A+g)
}

// valueAt is the j-th value, see keyAt.
func valueAt(qkv device.Mem, p *device.Prefix, s device.Heads, first, j, a int) []float32 {
	g := a / (s.A / s.G)
	if p != nil && j < p.N {
		return p.V.Host[j*p.Stride+g*s.D:][:s.D]
	} else if p != nil {
		j -= p.N
	}
	return head(qkv, s, first+j, s.A+s.G+g)
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
