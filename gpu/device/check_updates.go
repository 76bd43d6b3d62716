package device

// Sampling, operators on runs of numbers, and updates of weights.

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
