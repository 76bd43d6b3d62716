package chatglm

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

// A pass is what one run through the network needs beside the activations.
type pass struct {
	pos     []int32 // of each token
	starts  []int32 // of the sequences of a batch
	train   bool    // with dropout and noise
	step    uint64  // counter that keeps those apart between batches
	encoded bool    // the prefix's keys and values are computed already
	attend  func(layer int, la *layerActs)
}

// run computes the residual stream a.x after all layers for the given ids, and
// its normalized form a.xn. The order is that of the original code: norm,
// attention, add; norm, MLP, add; final norm.
func (m *Model) run(a *activations, ids []int32, p pass) {
	c, dev, n := m.cfg, m.dev, len(ids)
	h := c.HiddenSize
	xn, z := front(a.xn, n*h), front(a.z, n*c.FFNHiddenSize)
	x := front(a.layers[0].x1, n*h)
	dev.Embed(x, m.embedding.matrix(), ids, h)
	if p.train {
		m.disturb(x, p)
	}
	if !p.encoded {
		m.encodePrefix(p)
	}
	var add device.Mem // what the block before left to be added to the stream
	for i := range m.layers {
		l, la := &m.layers[i], &a.layers[i]
		m.carry(front(la.x1, n*h), x)
		x = m.layerForward(a, i, add, p)
		dev.SwiGLU(z, front(la.u, n*2*c.FFNHiddenSize), n, c.FFNHiddenSize)
		add = front(a.branch, n*h)
		dev.Linear(add, z, n, m.linear(&l.down, i, 3, la, p))
	}
	m.carry(front(a.x, n*h), x)
	dev.RMSNorm(xn, front(a.rstd, n), front(a.x, n*h), add, m.finalNorm.W, n, h, float32(c.LayerNormEpsilon))
}

// layerForward adds add to the residual stream la.x1, computes layer i from there
// up to the input of its SwiGLU, la.u, and returns the stream la.x2. The backward
// pass calls it again, with nothing to add, where only la.x1 was kept.
func (m *Model) layerForward(a *activations, i int, add device.Mem, p pass) device.Mem {
	c, s, dev, n := m.cfg, m.cfg.heads(), m.dev, len(p.pos)
	h, l, la := c.HiddenSize, &m.layers[i], &a.layers[i]
	eps := float32(c.LayerNormEpsilon)
	xn, x1, x2 := front(a.xn, n*h), front(la.x1, n*h), front(la.x2, n*h)
	dev.RMSNorm(xn, front(la.r1, n), x1, add, l.norm1.W, n, h, eps)
	dev.Linear(front(la.qkv, n*s.Width()), xn, n, m.linear(&l.qkv, i, 0, la, p))
	dev.Rotary(front(la.qkv, n*s.Width()), p.pos, s, false)
	p.attend(i, la)
	add = front(a.branch, n*h)
	dev.Linear(add, front(la.o, n*c.projection()), n, m.linear(&l.dense, i, 1, la, p))

	m.carry(x2, x1)
	dev.RMSNorm(xn, front(la.r2, n), x2, add, l.norm2.W, n, h, eps)
	dev.Linear(front(la.u, n*2*c.FFNHiddenSize), xn, n, m.linear(&l.up, i, 2, la, p))
	return x2
}

// carry brings the residual stream x to the buffer in which the next norm will
// add to it, which is the same where nobody needs the old one.
func (m *Model) carry(next, x device.Mem) {
	if !next.Same(x) {
		m.dev.Copy(next, x)
	}
}

// front is the part of a buffer that a batch uses.
func front(m device.Mem, n int) device.Mem { return m.Slice(0, n) }

// linear is the device's view of a layer with its adapter.
func (m *Model) linear(l *linear, layer, target int, la *layerActs, p pass) *device.Linear {
	d := &device.Linear{W: l.w.matrix(), I: l.in(), O: l.out()}
	if l.bias != nil {
		d.Bias = l.bias.W
	}
	if l.a != nil && !m.adaptersOff {
		r := m.lora.Rank
		d.LoRA = &device.LoRA{
			A: l.a.W, B: l.b.W, U: front(la.low[target], len(p.pos)*r), R: r, Scale: m.lora.scale(),
			Seed: stream(m.lora.seed, p.step, uint64(4*layer+target)),
		}
		if p.train {
			d.LoRA.Dropout = m.lora.Dropout
		}
	}
	return d
}

// packed makes the pass of a batch: attention inside each sequence.
func (m *Model) packed(b Batch) pass {
	s, n := m.cfg.heads(), len(b.IDs)
	return pass{pos: b.Positions, starts: b.Starts, attend: func(layer int, la *layerActs) {
		m.dev.Attention(front(la.o, n*m.cfg.projection()), front(la.lse, n*s.A), front(la.qkv, n*s.Width()), b.Starts, s, m.prefixAt(layer))
	}}
}

// Logits computes the scores of every token of the vocabulary after each token
// of b, [M,V].
func (m *Model) Logits(b Batch) ([]float32, error) {
	if err := m.check(b); err != nil {
		return nil, err
	}
	a, err := m.room(len(b.IDs), false)
	if err != nil {
		return nil, err
	}
	m.run(a, b.IDs, m.packed(b))
	return m.project(front(a.xn, len(b.IDs)*m.cfg.HiddenSize), len(b.IDs))
}

// Hidden computes the final norm's output for each token, [M,H].
func (m *Model) Hidden(b Batch) ([]float32, error) {
	if err := m.check(b); err != nil {
		return nil, err
	}
	a, err := m.room(len(b.IDs), false)
	if err != nil {
		return nil, err
	}
	m.run(a, b.IDs, m.packed(b))
	out := make([]float32, len(b.IDs)*m.cfg.HiddenSize)
	m.dev.Download(out, front(a.xn, len(out)))
	return out, m.dev.Sync()
}

// project multiplies n rows of hidden states with the output matrix.
func (m *Model) project(x device.Mem, n int) ([]float32, error) {
	v := m.cfg.PaddedVocabSize
	y, err := m.dev.Alloc(n * v)
	if err != nil {
		return nil, fmt.Errorf("scores of %d tokens: %w", n, err)
	}
	defer m.dev.Free(y)
	m.dev.Linear(y, x, n, &device.Linear{W: m.out.matrix(), I: m.cfg.HiddenSize, O: v})
	out := make([]float32, n*v)
	m.dev.Download(out, y)
	return out, m.dev.Sync()
}

// Loss computes, for each sequence of b, the sum of −log p over its targets in
// nats and the number of its targets.
func (m *Model) Loss(b Batch) (nll []float64, targets []int, err error) {
	if err := m.check(b); err != nil {
		return nil, nil, err
	}
	a, err := m.room(len(b.IDs), false)
	if err != nil {
		return nil, nil, err
	}
	m.run(a, b.IDs, m.packed(b))
	wanted := b.targets()
	c, n := m.cfg, len(b.IDs)
	m.dev.CrossEntropy(front(a.nll, n), device.Mem{}, device.Mem{}, front(a.xn, n*c.HiddenSize), m.out.matrix(), wanted, n, c.HiddenSize, c.PaddedVocabSize, 1, device.Goal{})
	each := make([]float32, n)
	m.dev.Download(each, front(a.nll, n))
	if err := m.dev.Sync(); err != nil {
		return nil, nil, err
	}
	nll, targets = make([]float64, len(b.Starts)-1), make([]int, len(b.Starts)-1)
	for i := range nll {
		for t := b.Starts[i]; t < b.Starts[i+1]; t++ {
			if wanted[t] >= 0 {
				nll[i] += float64(each[t])
				targets[i]++
			}
		}
	}
	return nll, targets, nil
}
