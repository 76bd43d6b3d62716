package chatglm

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

// A pass is one run through the network.
type pass struct {
	*device.Pass
	*activations
	train   bool           // with dropout and noise
	step    uint64         // counter that keeps those apart between batches
	encoded bool           // the prefix's keys and values are computed already
	cache   []device.Cache // of each layer, nil to attend inside the batch
}

// run computes the residual stream p.x after all layers and its normalized form
// p.xn. The order is that of the original code: norm, attention, add; norm, MLP,
// add; final norm.
func (m *Model) run(p *pass) {
	c, dev := m.cfg, m.dev
	h, f := c.HiddenSize, c.FFNHiddenSize
	x := p.layers[0].x1
	dev.Embed(x, m.embedding.W, p.Pass, h)
	if p.train && m.objective.Noise > 0 {
		dev.Noise(x, p.Pass, h, m.objective.Noise, device.Stream(m.objective.Seed, p.step, embeddingNoise))
	}
	if !p.encoded {
		m.encodePrefix(p)
	}
	var branch device.Tensor // what the block before adds to the stream
	for i := range m.layers {
		x = m.layerForward(p, i, x, branch)
		dev.SwiGLU(p.z, p.layers[i].u, p.M, f)
		dev.Linear(p.branch, p.z, p.M, m.linear(&m.layers[i].down, i, 3, p))
		branch = p.branch
	}
	dev.RMSNorm(p.xn, p.rstd, p.x, x, branch, m.finalNorm.Tensor(), p.M, h, float32(c.LayerNormEpsilon))
}

// layerForward adds branch to the residual stream x, computes layer i from there
// up to the input of its SwiGLU and returns the stream there. The backward pass
// calls it again, with nothing to add, where only the layer's input was kept.
func (m *Model) layerForward(p *pass, i int, x, branch device.Tensor) device.Tensor {
	c, s, dev := m.cfg, m.cfg.heads(), m.dev
	h, l, la := c.HiddenSize, &m.layers[i], &p.layers[i]
	eps := float32(c.LayerNormEpsilon)
	sum := la.x1
	if branch.Empty() {
		sum = device.Tensor{}
	}
	dev.RMSNorm(p.xn, la.r1, sum, x, branch, l.norm1.Tensor(), p.M, h, eps)
	dev.Linear(la.qkv, p.xn, p.M, m.linear(&l.qkv, i, 0, p))
	dev.Rotary(la.qkv, p.Pass, s, false)
	if p.cache != nil {
		dev.AttentionCached(la.o, la.qkv, p.cache[i], p.Pass, s, m.prefixAt(i))
	} else {
		dev.Attention(la.o, la.lse, la.qkv, p.Pass, s, m.prefixAt(i))
	}
	dev.Linear(p.branch, la.o, p.M, m.linear(&l.dense, i, 1, p))
	dev.RMSNorm(p.xn, la.r2, la.x2, la.x1, p.branch, l.norm2.Tensor(), p.M, h, eps)
	dev.Linear(la.u, p.xn, p.M, m.linear(&l.up, i, 2, p))
	return la.x2
}

// linear is the device's view of a layer with its adapter.
func (m *Model) linear(l *linear, layer, target int, p *pass) *device.Linear {
	d := l.plain()
	if l.a != nil && !m.adaptersOff {
		d.LoRA = &device.LoRA{
			A: l.a.Tensor(), B: l.b.Tensor(), U: p.layers[layer].low[target], R: m.lora.Rank, Scale: m.lora.scale(),
			Seed: device.Stream(m.lora.seed, p.step, uint64(4*layer+target)),
		}
		if p.train {
			d.LoRA.Dropout = m.lora.Dropout
		}
	}
	return d
}

// plain is the device's view of a linear without adapter.
func (l *linear) plain() *device.Linear {
	return &device.Linear{W: l.w.W, Bias: l.bias.Tensor(), I: l.in(), O: l.out()}
}

// head is the output layer.
func (m *Model) head() *device.Head {
	return &device.Head{W: m.out.W, H: m.cfg.HiddenSize, V: m.cfg.PaddedVocabSize}
}

// forward prepares b and runs over it, without dropout.
func (m *Model) forward(b Batch) (*pass, error) {
	p, err := m.prepare(b, false)
	if err == nil {
		m.run(p)
	}
	return p, err
}

// prepare makes b the batch of the next pass.
func (m *Model) prepare(b Batch, train bool) (*pass, error) {
	if err := m.check(b); err != nil {
		return nil, err
	}
	if err := m.room(device.Limits{M: len(b.IDs), S: len(b.CuSeqlens) - 1}, train); err != nil {
		return nil, err
	}
	p := &pass{Pass: m.buffers.pass, activations: m.activations(len(b.IDs)), train: train}
	m.dev.Prepare(p.Pass, device.Batch{IDs: b.IDs, Positions: b.Positions, CuSeqlens: b.CuSeqlens, Targets: b.targets(), Weights: b.weights()})
	return p, nil
}

// Logits computes the scores of every token of the vocabulary after each token
// of b, [M,V].
func (m *Model) Logits(b Batch) (scores []float32, err error) {
	err = m.dev.Do(func() error {
		p, err := m.forward(b)
		if err != nil {
			return err
		}
		h := m.head()
		y, err := device.NewTensor(m.dev, p.xn.Format, p.M*h.V)
		if err != nil {
			return fmt.Errorf("scores of %d tokens: %w", p.M, err)
		}
		defer m.dev.Free(y.Mem)
		m.dev.Linear(y, p.xn, p.M, &device.Linear{W: h.W, I: h.H, O: h.V})
		scores, err = m.download(y)
		return err
	})
	return scores, err
}

// Hidden computes the final norm's output for each token, [M,H].
func (m *Model) Hidden(b Batch) (hidden []float32, err error) {
	err = m.dev.Do(func() error {
		p, err := m.forward(b)
		if err != nil {
			return err
		}
		hidden, err = m.download(p.xn)
		return err
	})
	return hidden, err
}

// Loss computes, for each sequence of b, the sum of −log p over its targets in
// nats and the number of its targets.
func (m *Model) Loss(b Batch) (nll []float64, targets []int, err error) {
	nll, _, targets, err = m.Measure(b)
	return nll, targets, err
}
