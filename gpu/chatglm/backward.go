package chatglm

import (
	"errors"

	"github.com/glmflow/glmflow/gpu/device"
)

// Accumulate runs forward and backward over b and adds scale·∂(Σ loss)/∂w to the
// gradient of every trainable weight. It returns the sum of the losses of the
// targets, in nats, and their number; a loss is −log p, or what
// [Model.SetObjective] says. counter numbers the micro-batches of a training:
// batches of different numbers have different dropout and noise.
func (m *Model) Accumulate(b Batch, scale float32, counter uint64) (loss float64, targets int, err error) {
	if err := m.check(b); err != nil {
		return 0, 0, err
	}
	if len(m.Trainable()) == 0 {
		return 0, 0, errors.New("nothing is trainable: call TrainAll, TrainPart, AddLoRA, AddPrefix or TrainAdapters first")
	}
	if m.adaptersOff {
		return 0, 0, errors.New("the adapters are switched off: call UseAdapters(true) before training")
	}
	a, err := m.room(len(b.IDs), true)
	if err != nil {
		return 0, 0, err
	}
	goal, err := m.goal(a, b)
	if err != nil {
		return 0, 0, err
	}
	p := m.packed(b)
	p.train, p.step = true, counter
	m.run(a, b.IDs, p)
	if m.prefix.trainable() {
		m.dev.Zero(m.prefix.dkv)
	}

	c, n, dev := m.cfg, len(b.IDs), m.dev
	h := c.HiddenSize
	wanted := b.targets()
	lowest := m.lowest()
	var dxn device.Mem
	if lowest < len(m.layers) || m.finalNorm.Trainable() {
		dxn = front(a.dbranch, n*h)
	}
	dev.CrossEntropy(front(a.nll, n), dxn, m.out.Grad, front(a.xn, n*h), m.out.matrix(), wanted, n, h, c.PaddedVocabSize, scale, goal)
	dx := front(a.dx, n*h) // gradient of the residual stream
	if !dxn.Empty() {
		dev.Zero(dx)
		dev.RMSNormBackward(dx, m.finalNorm.Grad, dxn, front(a.x, n*h), m.finalNorm.W, front(a.rstd, n), n, h)
	}
	for i := len(m.layers) - 1; i >= lowest; i-- {
		if a.layers[i].again {
			m.layerForward(a, i, device.Mem{}, p)
		}
		m.layerBackward(a, i, p, i > lowest || m.embedding.Trainable())
	}
	if m.embedding.Trainable() {
		dev.EmbedBackward(m.embedding.Grad, dx, b.IDs, h)
	}
	if m.prefix.trainable() {
		m.prefixBackward(p)
	}

	each := make([]float32, n)
	dev.Download(each, front(a.nll, n))
	if err := dev.Sync(); err != nil {
		return 0, 0, err
	}
	for t, v := range each {
		if wanted[t] >= 0 {
			loss += float64(v)
			targets++
		}
	}
	return loss, targets, nil
}

// lowest is the lowest layer with anything trainable in or below it: the
// backward pass ends there.
func (m *Model) lowest() int {
	if m.embedding.Trainable() || m.prefix.trainable() {
		return 0
	}
	for i := range m.layers {
		l := &m.layers[i]
		if l.norm1.Trainable() || l.norm2.Trainable() || l.qkv.learns() || l.dense.learns() || l.up.learns() || l.down.learns() {
			return i
		}
	}
	return len(m.layers)
}

// layerBackward brings the residual stream's gradient a.dx from above layer i to
// below it, adding up the gradients of the layer's trainable weights on the way.
// Without anything trainable below the layer it ends at the lowest trainable
// weight in it. The inputs of linears are made again where a weight's gradient
// needs them.
func (m *Model) layerBackward(a *activations, i int, p pass, below bool) {
	c, s, dev, n := m.cfg, m.cfg.heads(), m.dev, len(p.pos)
	h, f, l, la := c.HiddenSize, c.FFNHiddenSize, &m.layers[i], &a.layers[i]
	dx, xn := front(a.dx, n*h), front(a.xn, n*h)
	eps := float32(c.LayerNormEpsilon)
	// What has to be reached, from the bottom up.
	norm1 := below || l.norm1.Trainable()
	qkv := norm1 || l.qkv.learns()
	attention := qkv || m.prefix.trainable()
	dense := attention || l.dense.learns()
	norm2 := dense || l.norm2.Trainable()
	up := norm2 || l.up.learns()
	where := func(wanted bool, m device.Mem, n int) device.Mem {
		if !wanted {
			return device.Mem{}
		}
		return front(m, n)
	}

	// MLP: x += down(swiglu(up(norm2(x)))).
	z, dz, du := front(a.z, n*f), where(up, a.dz, n*f), front(a.du, n*2*f)
	if l.down.trainable() {
		dev.SwiGLU(z, front(la.u, n*2*f), n, f)
	}
	dev.LinearBackward(dz, dx, z, n, m.linear(&l.down, i, 3, la, p), m.grads(a, &l.down, n))
	if !up {
		return
	}
	dev.SwiGLUBackward(du, dz, front(la.u, n*2*f), n, f)
	if l.up.trainable() {
		dev.RMSNorm(xn, front(la.r2, n), front(la.x2, n*h), device.Mem{}, l.norm2.W, n, h, eps)
	}
	dn := where(norm2, a.dbranch, n*h)
	dev.LinearBackward(dn, du, xn, n, m.linear(&l.up, i, 2, la, p), m.grads(a, &l.up, n))
	if !norm2 {
		return
	}
	dev.RMSNormBackward(dx, l.norm2.Grad, dn, front(la.x2, n*h), l.norm2.W, front(la.r2, n), n, h)
	if !dense {
		return
	}

	// Attention: x += dense(attention(rotary(qkv(norm1(x))))).
	do, dqkv := where(attention, a.do, n*c.projection()), where(qkv, a.dqkv, n*s.Width())
	dev.LinearBackward(do, dx, front(la.o, n*c.projection()), n, m.linear(&l.dense, i, 1, la, p), m.grads(a, &l.dense, n))
	if !attention {
		return
	}
	dev.AttentionBackward(dqkv, do, front(la.o, n*c.projection()), front(la.lse, n*s.A), front(la.qkv, n*s.Width()), p.starts, s,
		m.prefixAt(i), m.prefixGradAt(i))
	if !qkv {
		return
	}
	dev.Rotary(dqkv, p.pos, s, true)
	if l.qkv.trainable() {
		dev.RMSNorm(xn, front(la.r1, n), front(la.x1, n*h), device.Mem{}, l.norm1.W, n, h, eps)
	}
	dn = where(norm1, a.dbranch, n*h)
	dev.LinearBackward(dn, dqkv, xn, n, m.linear(&l.qkv, i, 0, la, p), m.grads(a, &l.qkv, n))
	if norm1 {
		dev.RMSNormBackward(dx, l.norm1.Grad, dn, front(la.x1, n*h), l.norm1.W, front(la.r1, n), n, h)
	}
}

// grads names the gradients that a linear's backward pass accumulates: those of
// its trainable weights.
func (m *Model) grads(a *activations, l *linear, n int) *device.LinearGrad {
	g := &device.LinearGrad{W: l.w.Grad}
	if l.bias != nil {
		g.Bias = l.bias.Grad
	}
	if l.a != nil {
		g.A, g.B, g.DU = l.a.Grad, l.b.Grad, front(a.dlow, n*m.lora.Rank)
	}
	return g
}
