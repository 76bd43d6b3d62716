package dry

import "github.com/glmflow/glmflow/gpu/device"

// size is the bytes of all that are given.
func size(all ...device.Tensor) int {
	n := 0
	for _, t := range all {
		n += t.Mem.N
	}
	return n
}

func matrix(w device.Matrix) int { return w.Data.N + w.Scales.Mem.N }

// moves counts an operator that only moves bytes.
func (d *Device) moves(operator string, all ...device.Tensor) { d.work.add(operator, 0, size(all...)) }

func (d *Device) Embed(y device.Tensor, _ device.Matrix, _ *device.Pass, _ int) {
	d.work.add("Embed", 0, 2*y.Mem.N)
}

func (d *Device) EmbedBackward(_, dy device.Tensor, _ *device.Pass, _ int) {
	d.work.add("EmbedBackward", 0, 3*dy.Mem.N)
}

func (d *Device) Gather(y, _ device.Tensor, _ *device.Pass, _ int) { d.moves("Gather", y, y) }

func (d *Device) GatherBackward(_, dy device.Tensor, _ *device.Pass, _ int) {
	d.moves("GatherBackward", dy, dy, dy)
}

func (d *Device) RMSNorm(y, rstd, sum, x, res, w device.Tensor, _, _ int, _ float32) {
	d.moves("RMSNorm", y, rstd, sum, x, res, w)
}

func (d *Device) RMSNormBackward(dx, dw, dy, x, w, rstd device.Tensor, _, _ int) {
	d.moves("RMSNormBackward", dx, dx, dw, dw, dy, x, w, rstd)
}

// product is the operations of a product of [m,k] and [k,n].
func product(m, n, k int) float64 { return 2 * float64(m) * float64(n) * float64(k) }

func (d *Device) Linear(y, x device.Tensor, m int, l *device.Linear) {
	flops, bytes := product(m, l.O, l.I), size(y, x, l.Bias)+matrix(l.W)
	if a := l.LoRA; a != nil {
		flops += product(m, a.R, l.I) + product(m, l.O, a.R)
		bytes += size(x, y, y, a.A, a.B, a.U, a.U)
	}
	d.work.add("Linear", flops, bytes)
}

func (d *Device) LinearBackward(dx, dy, x device.Tensor, m int, l *device.Linear, g *device.LinearGrad) {
	if g == nil {
		g = &device.LinearGrad{}
	}
	flops, bytes := 0.0, dy.Mem.N
	if !dx.Empty() {
		flops += product(m, l.I, l.O)
		bytes += size(dx) + matrix(l.W)
	}
	if !g.W.Empty() {
		flops += product(l.O, l.I, m)
		bytes += size(x, g.W, g.W)
	}
	bytes += size(g.Bias)
	if a := l.LoRA; a != nil {
		if !g.B.Empty() {
			flops += product(l.O, a.R, m)
			bytes += size(dy, g.B, g.B, a.U)
		}
		if !g.A.Empty() || !dx.Empty() {
			flops += product(m, a.R, l.O)
			bytes += size(dy, a.B, g.DU)
		}
		if !g.A.Empty() {
			flops += product(a.R, l.I, m)
			bytes += size(x, g.A, g.A, g.DU)
		}
		if !dx.Empty() {
			flops += product(m, l.I, a.R)
			bytes += size(dx, dx, a.A, g.DU)
		}
	}
	d.work.add("LinearBackward", flops, bytes)
}

func (d *Device) Merge(l *device.Linear) {
	d.work.add("Merge", product(l.O, l.I, l.LoRA.R), 2*matrix(l.W))
}

func (d *Device) Rotary(qkv device.Tensor, _ *device.Pass, _ device.Heads, _ bool) {
	d.moves("Rotary", qkv, qkv)
}

// attention is the operations of so many products of every query with the keys
// that it reads.
func attention(p *device.Pass, s device.Heads, x *device.Prefix, products float64) float64 {
	pairs := p.On.(*pass).pairs
	if x != nil {
		pairs += float64(p.M) * float64(x.N)
	}
	return products * 2 * pairs * float64(s.A*s.D)
}

func (d *Device) Attention(o, lse, qkv device.Tensor, p *device.Pass, s device.Heads, x *device.Prefix) {
	d.work.add("Attention", attention(p, s, x, 2), size(o, lse, qkv))
}

func (d *Device) AttentionBackward(dqkv, do, o, lse, qkv device.Tensor, p *device.Pass, s device.Heads, x, _ *device.Prefix) {
	d.work.add("AttentionBackward", attention(p, s, x, 5), size(dqkv, do, o, lse, qkv))
}

func (d *Device) AttentionCached(o, qkv device.Tensor, c device.Cache, p *device.Pass, s device.Heads, x *device.Prefix) {
	cached := int(p.On.(*pass).distinct) * 2 * s.G * s.D * c.K.Format.Size()
	d.work.add("AttentionCached", attention(p, s, x, 2), size(o, qkv)+cached)
}

func (d *Device) SwiGLU(z, u device.Tensor, _, _ int) { d.moves("SwiGLU", z, u) }

func (d *Device) SwiGLUBackward(du, dz, u device.Tensor, _, _ int) {
	d.moves("SwiGLUBackward", du, dz, u)
}

func (d *Device) CrossEntropy(loss device.Tensor, hits device.Ints, dx, x device.Tensor, p *device.Pass, l *device.Head, g *device.HeadGrad, _ float32, o device.Objective) {
	if g == nil {
		g = &device.HeadGrad{}
	}
	one := product(p.M, l.V, l.H)
	flops, bytes := one, size(loss, dx, x, l.Bias)+matrix(l.W)+hits.Mem.N
	for _, more := range []bool{!dx.Empty(), !g.W.Empty(), o.KL > 0} {
		if more {
			flops += one
			bytes += matrix(l.W)
		}
	}
	d.work.add("CrossEntropy", flops, bytes+size(g.W))
}

func (d *Device) TopK(_ device.Ints, values, lse, scores device.Tensor, _, _, _ int) {
	d.moves("TopK", values, lse, scores)
}

func (d *Device) Sample(_, _ device.Ints, logprob, scores device.Tensor, _ *device.Pass, _ int) {
	d.moves("Sample", logprob, scores)
}

func (d *Device) Tanh(y, x device.Tensor)                                { d.moves("Tanh", y, x) }
func (d *Device) TanhBackward(dx, dy, y device.Tensor)                   { d.moves("TanhBackward", dx, dy, y) }
func (d *Device) Dropout(y, x device.Tensor, _ float32, _ uint64)        { d.moves("Dropout", y, x) }
func (d *Device) Axpy(y device.Tensor, _ float32, x device.Tensor)       { d.moves("Axpy", y, y, x) }
func (d *Device) ClipNorm(_ device.Tensor, g []device.Tensor, _ float32) { d.moves("ClipNorm", g...) }

func (d *Device) Noise(x device.Tensor, _ *device.Pass, _ int, _ float32, _ uint64) {
	d.moves("Noise", x, x)
}

// update counts a step of an optimizer: weights and moments are read and written.
func (d *Device) update(operator string, w device.Weights, g device.Tensor, moments ...device.Moment) {
	bytes := g.Mem.N + 2*(w.W.Mem.N+w.Low.N)
	for _, m := range moments {
		bytes += 2 * (m.V.N + m.Scale.Mem.N)
	}
	d.work.add(operator, 0, bytes)
}

func (d *Device) AdamW(w device.Weights, g device.Tensor, m, v device.Moment, _ device.Tensor, _ device.AdamW) {
	d.update("AdamW", w, g, m, v)
}

func (d *Device) SGD(w device.Weights, g device.Tensor, m device.Moment, _ device.Tensor, _ device.SGD) {
	d.update("SGD", w, g, m)
}

func (d *Device) Lion(w device.Weights, g device.Tensor, m device.Moment, _ device.Tensor, _ device.Lion) {
	d.update("Lion", w, g, m)
}

func (d *Device) Average(avg, w device.Weights, _ float32) {
	d.update("Average", avg, w.W)
}
