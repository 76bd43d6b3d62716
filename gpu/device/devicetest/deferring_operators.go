package devicetest

import "github.com/glmflow/glmflow/gpu/device"

// Every operator finds its operands when it is called and runs when its turn
// comes. Outputs are those that device.Device says are assigned.

func (r *recorder) matrix(w device.Matrix) device.Matrix {
	return device.Matrix{Format: w.Format, Data: r.mem(w.Data), Scales: r.in(w.Scales)}
}

func (d *deferring) Embed(y device.Tensor, table device.Matrix, p *device.Pass, h int) {
	d.launch(func(r *recorder) func() {
		y, table, pass := r.out(y), r.matrix(table), r.pass(p)
		return func() { d.inner.Embed(y, table, pass, h) }
	})
}

func (d *deferring) EmbedBackward(dtable, dy device.Tensor, p *device.Pass, h int) {
	d.launch(func(r *recorder) func() {
		dtable, dy, pass := r.in(dtable), r.in(dy), r.pass(p)
		return func() { d.inner.EmbedBackward(dtable, dy, pass, h) }
	})
}

func (d *deferring) Gather(y, x device.Tensor, p *device.Pass, h int) {
	d.launch(func(r *recorder) func() {
		y, x, pass := r.out(y), r.in(x), r.pass(p)
		return func() { d.inner.Gather(y, x, pass, h) }
	})
}

func (d *deferring) GatherBackward(dx, dy device.Tensor, p *device.Pass, h int) {
	d.launch(func(r *recorder) func() {
		dx, dy, pass := r.in(dx), r.in(dy), r.pass(p)
		return func() { d.inner.GatherBackward(dx, dy, pass, h) }
	})
}

func (d *deferring) RMSNorm(y, rstd, sum, x, res, w device.Tensor, m, h int, eps float32) {
	d.launch(func(r *recorder) func() {
		y, rstd, sum, x, res, w := r.out(y), r.out(rstd), r.out(sum), r.in(x), r.in(res), r.in(w)
		return func() { d.inner.RMSNorm(y, rstd, sum, x, res, w, m, h, eps) }
	})
}

func (d *deferring) RMSNormBackward(dx, dw, dy, x, w, rstd device.Tensor, m, h int) {
	d.launch(func(r *recorder) func() {
		dx, dw, dy, x, w, rstd := r.in(dx), r.in(dw), r.in(dy), r.in(x), r.in(w), r.in(rstd)
		return func() { d.inner.RMSNormBackward(dx, dw, dy, x, w, rstd, m, h) }
	})
}

// linear is the layer on the inner device; u finds what Linear writes to and
// LinearBackward reads.
func (r *recorder) linear(l *device.Linear, u func(device.Tensor) device.Tensor) *device.Linear {
	lora := func(a device.LoRA) device.LoRA {
		a.A, a.B, a.U = r.in(a.A), r.in(a.B), u(a.U)
		return a
	}
	here := *l
	here.W, here.Bias = r.matrix(l.W), r.in(l.Bias)
	if l.LoRA != nil {
		a := lora(*l.LoRA)
		here.LoRA = &a
	}
	here.Adapters = nil
	for _, a := range l.Adapters {
		here.Adapters = append(here.Adapters, lora(a))
	}
	if l.Pass != nil {
		here.Pass = r.pass(l.Pass)
	}
	return &here
}

func (d *deferring) Linear(y, x device.Tensor, m int, l *device.Linear) {
	d.launch(func(r *recorder) func() {
		y, x, l := r.out(y), r.in(x), r.linear(l, r.out)
		return func() { d.inner.Linear(y, x, m, l) }
	})
}

func (d *deferring) LinearBackward(dx, dy, x device.Tensor, m int, l *device.Linear, g *device.LinearGrad) {
	d.launch(func(r *recorder) func() {
		dx, dy, x, l := r.out(dx), r.in(dy), r.in(x), r.linear(l, r.in)
		here := &device.LinearGrad{W: r.in(g.W), Bias: r.in(g.Bias), A: r.in(g.A), B: r.in(g.B), DU: r.out(g.DU)}
		return func() { d.inner.LinearBackward(dx, dy, x, m, l, here) }
	})
}

func (d *deferring) Merge(l *device.Linear) {
	d.launch(func(r *recorder) func() {
		l := r.linear(l, func(device.Tensor) device.Tensor { return device.Tensor{} })
		return func() { d.inner.Merge(l) }
	})
}

func (d *deferring) Rotary(qkv device.Tensor, p *device.Pass, s device.Heads, inverse bool) {
	d.launch(func(r *recorder) func() {
		qkv, pass := r.in(qkv), r.pass(p)
		return func() { d.inner.Rotary(qkv, pass, s, inverse) }
	})
}

func (r *recorder) prefix(x *device.Prefix) *device.Prefix {
	if x == nil {
		return nil
	}
	here := *x
	here.Table = r.in(x.Table)
	return &here
}

func (d *deferring) Attention(o, lse, qkv device.Tensor, p *device.Pass, s device.Heads, x *device.Prefix) {
	d.launch(func(r *recorder) func() {
		o, lse, qkv, pass, x := r.out(o), r.out(lse), r.in(qkv), r.pass(p), r.prefix(x)
		return func() { d.inner.Attention(o, lse, qkv, pass, s, x) }
	})
}

func (d *deferring) AttentionBackward(dqkv, do, o, lse, qkv device.Tensor, p *device.Pass, s device.Heads, x, dx *device.Prefix) {
	d.launch(func(r *recorder) func() {
		dqkv, do, o, lse, qkv := r.out(dqkv), r.in(do), r.in(o), r.in(lse), r.in(qkv)
		pass, x, dx := r.pass(p), r.prefix(x), r.prefix(dx)
		return func() { d.inner.AttentionBackward(dqkv, do, o, lse, qkv, pass, s, x, dx) }
	})
}

func (d *deferring) AttentionCached(o, qkv device.Tensor, c device.Cache, p *device.Pass, s device.Heads, x *device.Prefix) {
	d.launch(func(r *recorder) func() {
		o, qkv, c := r.out(o), r.in(qkv), device.Cache{K: r.in(c.K), V: r.in(c.V)}
		pass, x := r.pass(p), r.prefix(x)
		return func() { d.inner.AttentionCached(o, qkv, c, pass, s, x) }
	})
}

func (d *deferring) SwiGLU(z, u device.Tensor, m, f int) {
	d.launch(func(r *recorder) func() {
		z, u := r.out(z), r.in(u)
		return func() { d.inner.SwiGLU(z, u, m, f) }
	})
}

func (d *deferring) SwiGLUBackward(du, dz, u device.Tensor, m, f int) {
	d.launch(func(r *recorder) func() {
		du, dz, u := r.out(du), r.in(dz), r.in(u)
		return func() { d.inner.SwiGLUBackward(du, dz, u, m, f) }
	})
}

func (d *deferring) CrossEntropy(loss device.Tensor, hits device.Ints, dx, x device.Tensor, p *device.Pass, l *device.Head, g *device.HeadGrad, scale float32, b device.Objective) {
	d.launch(func(r *recorder) func() {
		loss, hits, dx, x, pass := r.out(loss), r.outInts(hits), r.out(dx), r.in(x), r.pass(p)
		head := &device.Head{W: r.matrix(l.W), Bias: r.in(l.Bias), H: l.H, V: l.V}
		grad := &device.HeadGrad{W: r.in(g.W), Bias: r.in(g.Bias)}
		here := device.Objective{Smoothing: b.Smoothing, KL: b.KL}
		if b.KL > 0 {
			here.Reference = r.in(b.Reference)
		}
		return func() { d.inner.CrossEntropy(loss, hits, dx, x, pass, head, grad, scale, here) }
	})
}

func (d *deferring) TopK(ids device.Ints, values, lse, scores device.Tensor, n, v, k int) {
	d.launch(func(r *recorder) func() {
		ids, values, lse, scores := r.outInts(ids), r.out(values), r.out(lse), r.in(scores)
		return func() { d.inner.TopK(ids, values, lse, scores, n, v, k) }
	})
}

func (d *deferring) Sample(ids, seen device.Ints, logprob, scores device.Tensor, p *device.Pass, v int) {
	d.launch(func(r *recorder) func() {
		ids, seen, logprob, scores, pass := r.outInts(ids), r.ints(seen), r.out(logprob), r.in(scores), r.pass(p)
		return func() { d.inner.Sample(ids, seen, logprob, scores, pass, v) }
	})
}

func (d *deferring) Tanh(y, x device.Tensor) {
	d.launch(func(r *recorder) func() {
		y, x := r.out(y), r.in(x)
		return func() { d.inner.Tanh(y, x) }
	})
}

func (d *deferring) TanhBackward(dx, dy, y device.Tensor) {
	d.launch(func(r *recorder) func() {
		dx, dy, y := r.out(dx), r.in(dy), r.in(y)
		return func() { d.inner.TanhBackward(dx, dy, y) }
	})
}

func (d *deferring) Dropout(y, x device.Tensor, share float32, seed uint64) {
	d.launch(func(r *recorder) func() {
		y, x := r.out(y), r.in(x)
		return func() { d.inner.Dropout(y, x, share, seed) }
	})
}

func (d *deferring) Noise(x device.Tensor, p *device.Pass, h int, a float32, seed uint64) {
	d.launch(func(r *recorder) func() {
		x, pass := r.in(x), r.pass(p)
		return func() { d.inner.Noise(x, pass, h, a, seed) }
	})
}

func (d *deferring) Axpy(y device.Tensor, a float32, x device.Tensor) {
	d.launch(func(r *recorder) func() {
		y, x := r.in(y), r.in(x)
		return func() { d.inner.Axpy(y, a, x) }
	})
}

func (d *deferring) ClipNorm(norm device.Tensor, g []device.Tensor, limit float32) {
	d.launch(func(r *recorder) func() {
		norm, here := r.out(norm), []device.Tensor(nil)
		for _, t := range g {
			here = append(here, r.in(t))
		}
		return func() { d.inner.ClipNorm(norm, here, limit) }
	})
}

func (r *recorder) weights(w device.Weights) device.Weights {
	return device.Weights{W: r.in(w.W), Low: r.mem(w.Low)}
}

func (r *recorder) moment(m device.Moment) device.Moment {
	return device.Moment{V: r.mem(m.V), Scale: r.in(m.Scale)}
}

func (d *deferring) AdamW(w device.Weights, g device.Tensor, m, v device.Moment, factor device.Tensor, s device.AdamW) {
	d.launch(func(r *recorder) func() {
		w, g, m, v, factor := r.weights(w), r.in(g), r.moment(m), r.moment(v), r.in(factor)
		return func() { d.inner.AdamW(w, g, m, v, factor, s) }
	})
}

func (d *deferring) SGD(w device.Weights, g device.Tensor, m device.Moment, factor device.Tensor, s device.SGD) {
	d.launch(func(r *recorder) func() {
		w, g, m, factor := r.weights(w), r.in(g), r.moment(m), r.in(factor)
		return func() { d.inner.SGD(w, g, m, factor, s) }
	})
}

func (d *deferring) Lion(w device.Weights, g device.Tensor, m device.Moment, factor device.Tensor, s device.Lion) {
	d.launch(func(r *recorder) func() {
		w, g, m, factor := r.weights(w), r.in(g), r.moment(m), r.in(factor)
		return func() { d.inner.Lion(w, g, m, factor, s) }
	})
}

func (d *deferring) Average(avg, w device.Weights, keep float32) {
	d.launch(func(r *recorder) func() {
		avg, w := r.weights(avg), r.weights(w)
		return func() { d.inner.Average(avg, w, keep) }
	})
}
