package device

// Transfers and the operators of the network.

func (c *checked) Upload(dst Mem, src []byte) {
	operator("Upload").require(len(src) == dst.N, "src has %d bytes, dst %d", len(src), dst.N)
	c.Device.Upload(dst, src)
}

func (c *checked) Download(dst []byte, src Mem) {
	operator("Download").require(len(dst) == src.N, "dst has %d bytes, src %d", len(dst), src.N)
	c.Device.Download(dst, src)
}

func (c *checked) Copy(dst, src Tensor) {
	o := operator("Copy")
	o.require(dst.N == src.N, "dst has %d numbers, src %d", dst.N, src.N)
	for _, t := range []Tensor{dst, src} {
		o.require(t.Format == F32 || t.Format == BF16, "a tensor is %v, want fp32 or bf16", t.Format)
	}
	c.Device.Copy(dst, src)
}

func (c *checked) Swap(a, b Mem) {
	operator("Swap").require(a.N == b.N, "a has %d bytes, b %d", a.N, b.N)
	c.Device.Swap(a, b)
}

func (c *checked) Embed(y Tensor, table Matrix, p *Pass, h int) {
	o := operator("Embed")
	o.pass(p)
	o.matrix("table", table, table.Rows(h), h)
	o.ids(p, table.Rows(h))
	o.a("y", y, p.M*h)
	c.Device.Embed(y, table, p, h)
}

func (c *checked) EmbedBackward(dtable, dy Tensor, p *Pass, h int) {
	o := operator("EmbedBackward")
	o.pass(p)
	o.ids(p, dtable.N/h)
	o.a("dtable", dtable, dtable.N/h*h)
	o.a("dy", dy, p.M*h)
	c.Device.EmbedBackward(dtable, dy, p, h)
}

func (o operator) ids(p *Pass, rows int) {
	o.require(p.Has.IDs, "the pass has no ids")
	o.require(p.Lowest >= 0 && p.Highest < rows, "ids are %d to %d, the table has %d rows", p.Lowest, p.Highest, rows)
}

func (c *checked) Gather(y, x Tensor, p *Pass, h int) {
	operator("Gather").gather("y", "x", y, x, p, h)
	c.Device.Gather(y, x, p, h)
}

func (c *checked) GatherBackward(dx, dy Tensor, p *Pass, h int) {
	operator("GatherBackward").gather("dy", "dx", dy, dx, p, h)
	c.Device.GatherBackward(dx, dy, p, h)
}

func (o operator) gather(few, all string, y, x Tensor, p *Pass, h int) {
	o.pass(p)
	o.require(p.Has.Rows, "the pass has no rows to gather")
	o.a(few, y, p.N*h)
	o.a(all, x, p.M*h)
	o.alike("tensors", x, y)
}

func (c *checked) RMSNorm(y, rstd, sum, x, res, w Tensor, m, h int, eps float32) {
	o := operator("RMSNorm")
	o.a("y", y, m*h)
	o.tensor("rstd", rstd, m)
	o.a("x", x, m*h)
	o.tensor("w", w, h)
	o.optionalA("res", res, m*h)
	o.optionalA("sum", sum, m*h)
	o.require(res.Empty() == sum.Empty(), "res and sum go together")
	o.alike("residual streams", x, sum)
	o.alike("activations", y, res)
	c.Device.RMSNorm(y, rstd, sum, x, res, w, m, h, eps)
}

func (c *checked) RMSNormBackward(dx, dw, dy, x, w, rstd Tensor, m, h int) {
	o := operator("RMSNormBackward")
	o.a("dx", dx, m*h)
	o.optional("dw", dw, h)
	o.a("dy", dy, m*h)
	o.a("x", x, m*h)
	o.tensor("w", w, h)
	o.tensor("rstd", rstd, m)
	o.alike("residual streams", dx, x)
	c.Device.RMSNormBackward(dx, dw, dy, x, w, rstd, m, h)
}

func (o operator) linear(m int, l *Linear) {
	o.require(l.I > 0 && l.O > 0 && m >= 0, "a layer of %d inputs and %d outputs, on %d rows", l.I, l.O, m)
	o.matrix("W", l.W, l.O, l.I)
	o.optional("Bias", l.Bias, l.O)
	if l.LoRA != nil {
		o.lora(l.LoRA, l, m)
	}
}

func (o operator) lora(a *LoRA, l *Linear, m int) {
	o.require(a.R > 0, "a LoRA branch of rank %d", a.R)
	o.tensor("LoRA A", a.A, a.R*l.I)
	o.tensor("LoRA B", a.B, l.O*a.R)
	if m > 0 {
		o.tensor("LoRA U", a.U, m*a.R)
	}
	o.require(a.Dropout >= 0 && a.Dropout < 1, "LoRA dropout is %g", a.Dropout)
}

func (c *checked) Linear(y, x Tensor, m int, l *Linear) {
	o := operator("Linear")
	o.linear(m, l)
	o.a("y", y, m*l.O)
	o.a("x", x, m*l.I)
	if y.Format != F32 {
		o.alike("activations", x, y)
	}
	if len(l.Adapters) > 0 {
		o.require(l.LoRA == nil, "LoRA and Adapters exclude each other")
		o.pass(l.Pass)
		o.require(l.Pass.M == m && l.Pass.Has.Adapters, "%d rows of a pass of %d, which names adapters: %t", m, l.Pass.M, l.Pass.Has.Adapters)
		o.require(l.Pass.Adapter < len(l.Adapters), "adapter %d of %d", l.Pass.Adapter, len(l.Adapters))
		for i := range l.Adapters {
			a := l.Adapters[i]
			a.U = a.U.Slice(0, min(a.U.N, m*a.R))
			o.lora(&a, l, m)
		}
	}
	c.Device.Linear(y, x, m, l)
}

func (c *checked) LinearBackward(dx, dy, x Tensor, m int, l *Linear, g *LinearGrad) {
	o := operator("LinearBackward")
	o.linear(m, l)
	o.require(len(l.Adapters) == 0, "adapters a sequence have no backward pass")
	if g == nil {
		g = &LinearGrad{}
	}
	o.a("dy", dy, m*l.O)
	o.optionalA("dx", dx, m*l.I)
	o.gradient("W gradient", g.W, l.W, l.O*l.I)
	o.optional("bias gradient", g.Bias, l.O)
	read := !g.W.Empty()
	if a := l.LoRA; a != nil {
		o.optional("A gradient", g.A, a.R*l.I)
		o.optional("B gradient", g.B, l.O*a.R)
		if !g.A.Empty() || !dx.Empty() {
			o.tensor("DU", g.DU, m*a.R)
		}
		read = read || !g.A.Empty()
	}
	if read {
		o.a("x", x, m*l.I)
		o.alike("activations", dy, x)
	}
	o.alike("activations", dy, dx)
	c.Device.LinearBackward(dx, dy, x, m, l, g)
}

func (c *checked) Merge(l *Linear) {
	o := operator("Merge")
	o.require(l.LoRA != nil, "there is no LoRA branch")
	o.require(!l.W.Format.Quantised(), "W is %v: rounding it again would lose more than the branch brings", l.W.Format)
	o.linear(0, l)
	c.Device.Merge(l)
}

func (c *checked) Rotary(qkv Tensor, p *Pass, s Heads, inverse bool) {
	o := operator("Rotary")
	o.pass(p)
	o.heads(s)
	o.require(p.Has.Positions, "the pass has no positions")
	o.a("qkv", qkv, p.M*s.Width())
	c.Device.Rotary(qkv, p, s, inverse)
}

func (c *checked) Attention(q, lse, qkv Tensor, p *Pass, s Heads, x *Prefix) {
	o := operator("Attention")
	o.pass(p)
	o.heads(s)
	o.require(!p.Has.Past, "the pass has a cache")
	o.a("o", q, p.M*s.A*s.D)
	o.tensor("lse", lse, p.M*s.A)
	o.a("qkv", qkv, p.M*s.Width())
	o.alike("activations", q, qkv)
	o.prefix("prefix", x, s)
	c.Device.Attention(q, lse, qkv, p, s, x)
}

func (c *checked) AttentionBackward(dqkv, do, q, lse, qkv Tensor, p *Pass, s Heads, x, dx *Prefix) {
	o := operator("AttentionBackward")
	o.pass(p)
	o.heads(s)
	o.optionalA("dqkv", dqkv, p.M*s.Width())
	o.a("do", do, p.M*s.A*s.D)
	o.a("o", q, p.M*s.A*s.D)
	o.tensor("lse", lse, p.M*s.A)
	o.a("qkv", qkv, p.M*s.Width())
	o.alike("activations", dqkv, do, q, qkv)
	o.prefix("prefix", x, s)
	o.prefix("gradient of the prefix", dx, s)
	o.require(dx == nil || x != nil && dx.N == x.N, "a gradient of a prefix of another length")
	c.Device.AttentionBackward(dqkv, do, q, lse, qkv, p, s, x, dx)
}

func (c *checked) AttentionCached(q, qkv Tensor, cache Cache, p *Pass, s Heads, x *Prefix) {
	o := operator("AttentionCached")
	o.pass(p)
	o.heads(s)
	o.require(p.Has.Past, "the pass has no cache")
	o.a("o", q, p.M*s.A*s.D)
	o.a("qkv", qkv, p.M*s.Width())
	o.alike("activations", q, qkv)
	page := PagePositions * s.G * s.D
	o.a("K", cache.K, cache.K.N/page*page)
	o.a("V", cache.V, cache.K.N)
	o.alike("keys and values", cache.K, cache.V)
	o.require(p.Page < cache.K.N/page, "page %d of %d", p.Page, cache.K.N/page)
	o.prefix("prefix", x, s)
	c.Device.AttentionCached(q, qkv, cache, p, s, x)
}

func (c *checked) SwiGLU(z, u Tensor, m, f int) {
	o := operator("SwiGLU")
	o.a("z", z, m*f)
	o.a("u", u, 2*m*f)
	o.alike("activations", z, u)
	c.Device.SwiGLU(z, u, m, f)
}

func (c *checked) SwiGLUBackward(du, dz, u Tensor, m, f int) {
	o := operator("SwiGLUBackward")
	o.a("du", du, 2*m*f)
	o.a("dz", dz, m*f)
	o.a("u", u, 2*m*f)
	o.alike("activations", du, dz, u)
	c.Device.SwiGLUBackward(du, dz, u, m, f)
}

func (c *checked) CrossEntropy(loss Tensor, hits Ints, dx, x Tensor, p *Pass, l *Head, g *HeadGrad, scale float32, b Objective) {
	o := operator("CrossEntropy")
	o.pass(p)
	if g == nil {
		g = &HeadGrad{}
	}
	o.require(p.Has.Targets, "the pass has no targets")
	o.require(p.Target < l.V, "target %d is outside of %d classes", p.Target, l.V)
	o.tensor("loss", loss, p.M)
	if !hits.Empty() {
		o.ints("hits", hits, p.M)
	}
	o.optionalA("dx", dx, p.M*l.H)
	o.a("x", x, p.M*l.H)
	o.matrix("W", l.W, l.V, l.H)
	o.optional("bias", l.Bias, l.V)
	o.gradient("W gradient", g.W, l.W, l.V*l.H)
	o.optional("bias gradient", g.Bias, l.V)
	o.require(b.Smoothing >= 0 && b.Smoothing < 1 && b.KL >= 0, "objective %g, %g", b.Smoothing, b.KL)
	if b.KL > 0 {
		o.a("reference", b.Reference, p.M*l.H)
		o.alike("activations", x, b.Reference)
	}
	o.alike("activations", dx, x)
	c.Device.CrossEntropy(loss, hits, dx, x, p, l, g, scale, b)
}
