package chatglm

import (
	"errors"

	"github.com/glmflow/glmflow/gpu/device"
)

// Accumulate runs forward and backward over b and adds scale·∂(Σ w·loss)/∂w to
// the gradient of every trainable weight, w being the batch's weights; a loss is
// −log p, or what [Model.SetObjective] says. The device may still be at work when
// it returns: the losses are there after its next Sync. counter numbers the
// micro-batches of a training: batches of different numbers have different
// dropout and noise.
func (m *Model) Accumulate(b Batch, scale float32, counter uint64) (losses *Losses, err error) {
	if len(m.Trainable()) == 0 {
		return nil, errors.New("nothing is trainable: call TrainAll, TrainPart, AddLoRA, AddPrefix or TrainAdapters first")
	}
	if m.adaptersOff {
		return nil, errors.New("the adapters are switched off: call UseAdapters(true) before training")
	}
	err = m.dev.Do(func() error {
		p, err := m.prepare(b, true)
		if err != nil {
			return err
		}
		objective, err := m.aim(p)
		if err != nil {
			return err
		}
		p.train, p.step = true, counter
		m.run(p)
		m.backward(p, scale, objective)
		losses = m.losses(p, b)
		return nil
	})
	return losses, err
}

// backward goes back through the pass p.
func (m *Model) backward(p *pass, scale float32, o device.Objective) {
	dev, h := m.dev, m.cfg.HiddenSize
	lowest := m.lowest()
	if m.prefix.trainable() {
		dev.Zero(m.prefix.dkv.Mem)
	}
	dxn := p.dbranch
	if lowest == len(m.layers) && !m.finalNorm.Trainable() {
		dxn = device.Tensor{}
	}
	dev.CrossEntropy(p.nll, device.Ints{}, dxn, p.xn, p.Pass, m.head(), &device.HeadGrad{W: m.out.Grad}, scale, o)
	if !dxn.Empty() {
		dev.Zero(p.dx.Mem)
		dev.RMSNormBackward(p.dx, m.finalNorm.Grad, dxn, p.x, m.finalNorm.Tensor(), p.rstd, p.M, h)
	}
	for i := len(m.layers) - 1; i >= lowest; i-- {
		if la := &p.layers[i]; la.again {
			m.layerForward(p, i, la.x1, device.Tensor{})
		}
		m.layerBackward(p, i, i > lowest || m.embedding.Trainable())
	}
	if m.embedding.Trainable() {
		dev.EmbedBackward(m.embedding.Grad, p.dx, p.Pass, h)
	}
	if m.prefix.trainable() {
		m.prefixBackward(p)
	}
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

// layerBackward brings the residual stream's gradient p.dx from above layer i to
// below it, adding up the gradients of the layer's trainable weights on the way.
// Without anything trainable below the layer it ends at the lowest trainable
// weight in it. The inputs of linears are made again where a weight's gradient
// needs them.
func (m *Model) layerBackward(p *pass, i int, below bool) {
	c, s, dev, n := m.cfg, m.cfg.heads(), m.dev, p.M
	h, f, l, la := c.HiddenSize, c.FFNHiddenSize, &m.layers[i], &p.layers[i]
	eps := float32(c.LayerNormEpsilon)
	// What has to be reached, from the bottom up.
	norm1 := below || l.norm1.Trainable()
	qkv := norm1 || l.qkv.learns()
	attention := qkv || m.prefix.trainable()
	dense := attention || l.dense.learns()
	norm2 := dense || l.norm2.Trainable()
	up := norm2 || l.up.learns()
	where := func(wanted bool, t device.Tensor) device.Tensor {
		if !wanted {
			return device.Tensor{}
		}
		return t
	}
	branch := p.branch // the gradient that a block's output gets, as its activations are held
	if p.dx.Format == branch.Format {
		branch = p.dx
	}
	arrive := func() {
		if !branch.Same(p.dx) {
			dev.Copy(branch, p.dx)
		}
	}

	// MLP: x += down(swiglu(up(norm2(x)))).
	if l.down.trainable() {
		dev.SwiGLU(p.z, la.u, n, f)
	}
	arrive()
	dz := where(up, p.dz)
	dev.LinearBackward(dz, branch, p.z, n, m.linear(&l.down, i, 3, p), m.grads(p, &l.down))
	if !up {
		return
	}
	dev.SwiGLUBackward(p.du, dz, la.u, n, f)
	if l.up.trainable() {
		dev.RMSNorm(p.xn, la.r2, device.Tensor{}, la.x2, device.Tensor{}, l.norm2.Tensor(), n, h, eps)
	}
	dn := where(norm2, p.dbranch)
	dev.LinearBackward(dn, p.du, p.xn, n, m.linear(&l.up, i, 2, p), m.grads(p, &l.up))
	if !norm2 {
		return
	}
	dev.RMSNormBackward(p.dx, l.norm2.Grad, dn, la.x2, l.norm2.Tensor(), la.r2, n, h)
	if !dense {
		return
	}

	// Attention: x += dense(attention(rotary(qkv(norm1(x))))).
	arrive()
	do, dqkv := where(attention, p.do), where(qkv, p.dqkv)
	dev.LinearBackward(do, branch, la.o, n, m.linear(&l.dense, i, 1, p), m.grads(p, &l.dense))
	if !attention {
		return
	}
	dev.AttentionBackward(dqkv, do, la.o, la.lse, la.qkv, p.Pass, s, m.prefixAt(i), m.prefixGradAt(i))
	if !qkv {
		return
	}
	dev.Rotary(dqkv, p.Pass, s, true)
	if l.qkv.trainable() {
		dev.RMSNorm(p.xn, la.r1, device.Tensor{}, la.x1, device.Tensor{}, l.norm1.Tensor(), n, h, eps)
	}
	dn = where(norm1, p.dbranch)
	dev.LinearBackward(dn, dqkv, p.xn, n, m.linear(&l.qkv, i, 0, p), m.grads(p, &l.qkv))
	if norm1 {
		dev.RMSNormBackward(p.dx, l.norm1.Grad, dn, la.x1, l.norm1.Tensor(), la.r1, n, h)
	}
}

// grads names the gradients that a linear's backward pass accumulates: those of
// its trainable weights.
func (m *Model) grads(p *pass, l *linear) *device.LinearGrad {
	g := &device.LinearGrad{W: l.w.Grad}
	if l.bias != nil {
		g.Bias = l.bias.Grad
	}
	if l.a != nil {
		g.A, g.B, g.DU = l.a.Grad, l.b.Grad, p.dlow
	}
	return g
}
