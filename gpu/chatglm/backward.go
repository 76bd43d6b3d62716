package chatglm

import (
	"errors"

	"github.com/glmflow/glmflow/gpu/device"
)

// Accumulate runs forward and backward over b and adds scale·∂(Σ nll)/∂w to the
// gradient of every trainable weight. It returns the sum of −log p over the
// targets, in nats, and their number. counter numbers the micro-batches of a
// training: batches of different numbers drop different inputs of the adapters.
func (m *Model) Accumulate(b Batch, scale float32, counter uint64) (nll float64, targets int, err error) {
	if err := m.check(b); err != nil {
		return 0, 0, err
	}
	if len(m.Trainable()) == 0 {
		return 0, 0, errors.New("nothing is trainable: call TrainAll, AddLoRA or TrainAdapters first")
	}
	if m.lora != nil && m.lora.off {
		return 0, 0, errors.New("the adapters are switched off: call UseAdapters(true) before training")
	}
	a, err := m.room(len(b.IDs), true)
	if err != nil {
		return 0, 0, err
	}
	p := m.packed(b)
	p.step = counter
	if m.lora != nil {
		p.dropout = m.lora.Dropout
	}
	m.run(a, b.IDs, p)

	c, n, dev := m.cfg, len(b.IDs), m.dev
	h := c.HiddenSize
	wanted := b.targets()
	dxn := front(a.dbranch, n*h)
	dev.CrossEntropy(front(a.nll, n), dxn, m.out.Grad, front(a.xn, n*h), m.out.W, wanted, n, h, c.PaddedVocabSize, scale, device.Goal{})
	dx := front(a.dx, n*h) // gradient of the residual stream
	dev.Zero(dx)
	dev.RMSNormBackward(dx, m.finalNorm.Grad, dxn, front(a.x, n*h), m.finalNorm.W, front(a.rstd, n), n, h)
	lowest := m.lowest()
	for i := len(m.layers) - 1; i >= lowest; i-- {
		if a.layers[i].again {
			m.layerForward(a, i, device.Mem{}, p)
		}
		m.layerBackward(a, i, p, b.Starts, i > lowest || m.embedding.Trainable() || m.layers[i].norm1.Trainable())
	}
	if m.embedding.Trainable() {
		dev.EmbedBackward(m.embedding.Grad, dx, b.IDs, h)
	}

	each := make([]float32, n)
	dev.Download(each, front(a.nll, n))
	if err := dev.Sync(); err != nil {
		return 0, 0, err
	}
	for t, v := range each {
		if wanted[t] >= 0 {
			nll += float64(v)
			targets++
		}
	}
	return nll, targets, nil
}

// lowest is the lowest layer with anything trainable in or below it: the
// backward pass ends there.
func (m *Model) lowest() int {
	if m.embedding.Trainable() {
		return 0
	}
	for i := range m.layers {
		l := &m.layers[i]
		for _, p := range []*Param{l.norm1, l.norm2, l.qkv.w, l.qkv.bias, l.qkv.a, l.dense.w, l.dense.a, l.up.w, l.up.a, l.down.w, l.down.a} {
			if p != nil && p.Trainable() {
				return i
			}
		}
	}
	return len(m.layers)
}

// layerBackward brings the residual stream's gradient a.dx from above layer i to
// below it, adding up the gradients of the layer's trainable weights on the way.
// Without below, what only matters to lower layers is left out. The inputs of
// linears are made again where a weight's gradient needs them.
func (m *Model) layerBackward(a *activations, i int, p pass, starts []int32, below bool) {
	c, s, dev, n := m.cfg, m.cfg.heads(), m.dev, len(p.pos)
	h, f, l, la := c.HiddenSize, c.FFNHiddenSize, &m.layers[i], &a.layers[i]
	dx, dn, xn := front(a.dx, n*h), front(a.dbranch, n*h), front(a.xn, n*h)
	eps := float32(c.LayerNormEpsilon)

	// MLP: x += down(swiglu(up(norm2(x)))).
	z, dz, du := front(a.z, n*f), front(a.dz, n*f), front(a.du, n*2*f)
	if l.down.trainable() {
		dev.SwiGLU(z, front(la.u, n*2*f), n, f)
	}
	dev.LinearBackward(dz, dx, z, n, m.linear(&l.down, i, 3, la, p), m.grads(a, &l.down, n))
	dev.SwiGLUBackward(du, dz, front(la.u, n*2*f), n, f)
	if l.up.trainable() {
		dev.RMSNorm(xn, front(la.r2, n), front(la.x2, n*h), device.Mem{}, l.norm2.W, n, h, eps)
	}
	dev.LinearBackward(dn, du, xn, n, m.linear(&l.up, i, 2, la, p), m.grads(a, &l.up, n))
	dev.RMSNormBackward(dx, l.norm2.Grad, dn, front(la.x2, n*h), l.norm2.W, front(la.r2, n), n, h)

	// Attention: x += dense(attention(rotary(qkv(norm1(x))))).
	do, dqkv := front(a.do, n*c.projection()), front(a.dqkv, n*s.Width())
	dev.LinearBackward(do, dx, front(la.o, n*c.projection()), n, m.linear(&l.dense, i, 1, la, p), m.grads(a, &l.dense, n))
	dev.AttentionBackward(dqkv, do, front(la.o, n*c.projection()), front(la.lse, n*s.A), front(la.qkv, n*s.Width()), starts, s, nil, nil)
	dev.Rotary(dqkv, p.pos, s, true)
	if !below {
		dn = device.Mem{}
	}
	if l.qkv.trainable() {
		dev.RMSNorm(xn, front(la.r1, n), front(la.x1, n*h), device.Mem{}, l.norm1.W, n, h, eps)
	}
	dev.LinearBackward(dn, dqkv, xn, n, m.linear(&l.qkv, i, 0, la, p), m.grads(a, &l.qkv, n))
	if below {
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
