package device

import (
	"fmt"
	"slices"
)

// Checked is d with every argument of every operator checked before d sees it:
// sizes, formats and alignment of tensors, the contents of batches. Wrong ones
// panic with the operator's and the argument's name. A backend's Open returns
// its device like this, and the backend itself checks nothing.
func Checked(d Device) Device { return &checked{Device: d} }

// checked forwards what takes no operands as it is.
type checked struct{ Device }

// An operator is a call that is being checked, by its name.
type operator string

// fail panics: wrong arguments are a defect in the caller.
func (o operator) fail(format string, args ...any) {
	panic(fmt.Sprintf("device: %s: ", string(o)) + fmt.Sprintf(format, args...))
}

func (o operator) require(ok bool, format string, args ...any) {
	if !ok {
		o.fail(format, args...)
	}
}

// mem checks where an operand begins.
func (o operator) mem(argument string, m Mem) {
	if m.begin()%OperandAlignment != 0 {
		o.fail("%s begins at a byte that is no multiple of %d", argument, OperandAlignment)
	}
}

// tensor checks an operand of n numbers in one of some formats, F32 where none is
// named.
func (o operator) tensor(argument string, t Tensor, n int, formats ...Format) {
	if len(formats) == 0 {
		formats = []Format{F32}
	}
	if t.N != n || t.Mem.N != n*t.Format.Size() {
		o.fail("%s has %d numbers in %d bytes, want %d numbers", argument, t.N, t.Mem.N, n)
	}
	if !slices.Contains(formats, t.Format) && n > 0 {
		o.fail("%s is %v, want %v", argument, t.Format, formats)
	}
	o.mem(argument, t.Mem)
}

// optional checks an operand that may be empty.
func (o operator) optional(argument string, t Tensor, n int, formats ...Format) {
	if !t.Empty() {
		o.tensor(argument, t, n, formats...)
	}
}

func (o operator) ints(argument string, x Ints, n int) {
	if x.N != n || x.Mem.N != 4*n {
		o.fail("%s has %d integers in %d bytes, want %d integers", argument, x.N, x.Mem.N, n)
	}
	o.mem(argument, x.Mem)
}

func (o operator) matrix(argument string, w Matrix, rows, columns int) {
	if wrong := w.misfit(rows, columns); wrong != "" {
		o.fail("%s %s", argument, wrong)
	}
	if !w.Scales.Empty() {
		o.tensor("scales of "+argument, w.Scales, w.Scales.N)
	}
	// Weights may lie in a mapped file, wherever it has them.
}

// gradient checks a matrix's gradient, which may be empty.
func (o operator) gradient(argument string, g Tensor, w Matrix, n int) {
	if g.Empty() {
		return
	}
	if !w.Format.trains() {
		o.fail("%s is asked for of weights in %v, which are frozen", argument, w.Format)
	}
	formats := []Format{F32}
	if w.Format == BF16 {
		formats = append(formats, BF16)
	}
	o.tensor(argument, g, n, formats...)
}

// alike checks that the tensors that are given have one format.
func (o operator) alike(kind string, all ...Tensor) {
	first := Tensor{}
	for _, t := range all {
		switch {
		case t.Empty():
		case first.Empty():
			first = t
		case t.Format != first.Format:
			o.fail("%s are %v and %v in one call", kind, first.Format, t.Format)
		}
	}
}

// a checks an activation that may be F32 or BF16.
func (o operator) a(argument string, t Tensor, n int) { o.tensor(argument, t, n, F32, BF16) }

func (o operator) optionalA(argument string, t Tensor, n int) { o.optional(argument, t, n, F32, BF16) }

func (o operator) pass(p *Pass) {
	if p == nil {
		o.fail("there is no pass")
	}
}

func (o operator) heads(s Heads) {
	if s.G < 1 || s.A < 1 || s.A%s.G != 0 || s.Rotary%2 != 0 || s.Rotary > s.D || s.D < 1 {
		o.fail("heads %+v: want whole groups and an even rotary width of at most D", s)
	}
}

func (o operator) prefix(argument string, x *Prefix, s Heads) {
	if x == nil {
		return
	}
	line := s.G * s.D
	o.require(x.N > 0, "%s has %d positions", argument, x.N)
	o.require(x.K >= 0 && x.V >= 0 && x.K+line <= x.Stride && x.V+line <= x.Stride,
		"%s has keys at %d and values at %d of rows of %d numbers, want room for %d groups of %d", argument, x.K, x.V, x.Stride, s.G, s.D)
	o.tensor(argument, x.Table, x.N*x.Stride)
}

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

func (c *checked) TopK(ids Ints, values, lse, scores Tensor, n, v, k int) {
	o := operator("TopK")
	o.require(k >= 0 && k <= v, "%d of %d scores", k, v)
	o.ints("ids", ids, n*k)
	o.tensor("values", values, n*k)
	o.tensor("lse", lse, n)
	o.tensor("scores", scores, n*v)
	c.Device.TopK(ids, values, lse, scores, n, v, k)
}

func (c *checked) Sample(ids, seen Ints, logprob, scores Tensor, p *Pass, v int) {
	o := operator("Sample")
	o.pass(p)
	o.require(p.Has.Sampling, "the pass says not how to sample")
	o.ints("ids", ids, p.S)
	if !seen.Empty() || p.Penalised {
		o.ints("seen", seen, p.S*((v+31)/32))
	}
	o.optional("logprob", logprob, p.S)
	o.tensor("scores", scores, p.S*v)
	c.Device.Sample(ids, seen, logprob, scores, p, v)
}

func (c *checked) Tanh(y, x Tensor) {
	o := operator("Tanh")
	o.tensor("y", y, y.N)
	o.tensor("x", x, y.N)
	c.Device.Tanh(y, x)
}

func (c *checked) TanhBackward(dx, dy, y Tensor) {
	o := operator("TanhBackward")
	o.tensor("dx", dx, y.N)
	o.tensor("dy", dy, y.N)
	o.tensor("y", y, y.N)
	c.Device.TanhBackward(dx, dy, y)
}

func (c *checked) Dropout(y, x Tensor, share float32, seed uint64) {
	o := operator("Dropout")
	o.tensor("y", y, y.N)
	o.tensor("x", x, y.N)
	o.require(share >= 0 && share < 1, "a share of %g", share)
	c.Device.Dropout(y, x, share, seed)
}

func (c *checked) Noise(x Tensor, p *Pass, h int, a float32, seed uint64) {
	o := operator("Noise")
	o.pass(p)
	o.a("x", x, p.M*h)
	c.Device.Noise(x, p, h, a, seed)
}

func (c *checked) Axpy(y Tensor, a float32, x Tensor) {
	o := operator("Axpy")
	o.tensor("y", y, y.N)
	o.tensor("x", x, y.N)
	c.Device.Axpy(y, a, x)
}

func (c *checked) ClipNorm(norm Tensor, g []Tensor, limit float32) {
	o := operator("ClipNorm")
	o.tensor("norm", norm, 2)
	for _, t := range g {
		o.a("g", t, t.N)
	}
	o.require(limit >= 0, "a limit of %g", limit)
	c.Device.ClipNorm(norm, g, limit)
}

func (o operator) weights(argument string, w Weights) {
	o.a(argument, w.W, w.W.N)
	if w.W.Format == BF16 {
		o.require(w.Low.N == 2*w.W.N, "%s has %d bytes of lower halves, want %d", argument, w.Low.N, 2*w.W.N)
		o.mem("lower halves of "+argument, w.Low)
	}
}

func (o operator) update(w Weights, g, factor Tensor, moments ...Moment) {
	o.weights("w", w)
	o.a("g", g, w.W.N)
	o.require(w.W.Format == BF16 || g.Format == F32, "weights in fp32 have a gradient in %v", g.Format)
	o.require(factor.N == 1 && factor.Format == F32, "factor is %d numbers in %v, want 1 in fp32", factor.N, factor.Format)
	for _, m := range moments {
		v, scale := MomentBytes(w.W.N, m.Narrow())
		o.require(m.V.N == v && m.Scale.N*4 == scale, "a moment has %d bytes and %d scales, want %d and %d", m.V.N, m.Scale.N, v, scale/4)
		o.mem("a moment", m.V)
		o.mem("a moment's scales", m.Scale.Mem)
	}
}

func (c *checked) AdamW(w Weights, g Tensor, m, v Moment, factor Tensor, s AdamW) {
	o := operator("AdamW")
	o.update(w, g, factor, m, v)
	o.require(s.Step > 0, "step %d: want 1 or more", s.Step)
	c.Device.AdamW(w, g, m, v, factor, s)
}

func (c *checked) SGD(w Weights, g Tensor, m Moment, factor Tensor, s SGD) {
	o := operator("SGD")
	if s.Momentum != 0 {
		o.update(w, g, factor, m)
	} else {
		o.update(w, g, factor)
	}
	c.Device.SGD(w, g, m, factor, s)
}

func (c *checked) Lion(w Weights, g Tensor, m Moment, factor Tensor, s Lion) {
	operator("Lion").update(w, g, factor, m)
	c.Device.Lion(w, g, m, factor, s)
}

func (c *checked) Average(avg, w Weights, keep float32) {
	o := operator("Average")
	o.weights("avg", avg)
	o.weights("w", w)
	o.require(avg.W.N == w.W.N && avg.W.Format == w.W.Format, "an average of %d %v of %d %v", avg.W.N, avg.W.Format, w.W.N, w.W.Format)
	c.Device.Average(avg, w, keep)
}
