package chatglm

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

// buffers are the memory of passes up to some limits, in one piece, and the
// prepared batch.
type buffers struct {
	limits device.Limits
	train  bool
	mem    device.Mem
	pass   *device.Pass
}

// Reserve takes the memory of passes of up to that many tokens and sequences,
// and what operators need for them, at once: nothing is allocated while such
// passes run.
func (m *Model) Reserve(tokens, sequences int, train bool) error {
	l := device.Limits{M: tokens, S: sequences}
	if err := m.room(l, train); err != nil {
		return err
	}
	if err := m.dev.Reserve(m.bounds(l, train)); err != nil {
		return fmt.Errorf("workspace for %d tokens: %w", tokens, err)
	}
	return nil
}

// bounds says what operators will be asked for.
func (m *Model) bounds(l device.Limits, train bool) device.Bounds {
	c, info := m.cfg, m.dev.Info()
	b := device.Bounds{
		Limits: l, Hidden: c.HiddenSize, FFN: c.FFNHiddenSize, Vocabulary: c.PaddedVocabSize, Heads: c.heads(),
		Activations: info.Activations, Residual: info.Residual, Frozen: m.layers[0].qkv.w.W.Format,
		Backward: train, Reference: train && m.objective.KL > 0,
		FullGradients: train && m.layers[len(m.layers)-1].down.w.Trainable(),
	}
	if m.lora != nil {
		b.Rank, b.Dropout = m.lora.Rank, train && m.lora.Dropout > 0
	}
	if x := m.prefix; x != nil {
		b.Prefix, b.PrefixWidth = x.Tokens, x.table.Shape[1]
	}
	return b
}

// room makes sure that a batch within the limits fits.
func (m *Model) room(l device.Limits, train bool) error {
	if b := m.buffers; b != nil {
		had := b.limits
		if l.M <= had.M && l.S <= had.S && l.N <= had.N && l.Pages <= had.Pages && (b.train || !train) {
			return nil
		}
		l = device.Limits{M: max(l.M, had.M), S: max(l.S, had.S), N: max(l.N, had.N), Pages: max(l.Pages, had.Pages)}
		train = train || b.train
		m.dropBuffers()
	}
	bytes := 0
	m.layout(train, m.recompute, func(f device.Format, width int) device.Tensor {
		bytes += device.ArenaBytes(l.M * width * f.Size())
		return device.Tensor{}
	})
	mem, err := m.dev.Alloc(bytes)
	if err != nil {
		return fmt.Errorf("activations of %d tokens: %w", l.M, err)
	}
	pass, err := m.dev.NewPass(l)
	if err != nil {
		m.dev.Free(mem)
		return fmt.Errorf("a pass of %d tokens: %w", l.M, err)
	}
	m.buffers = &buffers{l, train, mem, pass}
	return nil
}

// dropBuffers gives the memory back; the next pass takes new one.
func (m *Model) dropBuffers() {
	if m.buffers != nil {
		m.dev.FreePass(m.buffers.pass)
		m.dev.Free(m.buffers.mem)
		m.buffers = nil
	}
}

// activations are those of a pass of n tokens.
func (m *Model) activations(n int) *activations {
	arena := device.NewArena(m.buffers.mem)
	return m.layout(m.buffers.train, m.recompute, func(f device.Format, width int) device.Tensor {
		return arena.Tensor(f, m.buffers.limits.M*width).Slice(0, n*width)
	})
}

// ActivationBytes is what training on batches of that many tokens takes of the
// device's memory besides weights and gradients, with [Model.Recompute] of the
// given number.
func (m *Model) ActivationBytes(tokens, recompute int) int64 {
	bytes := int64(0)
	m.layout(true, recompute, func(f device.Format, width int) device.Tensor {
		bytes += int64(device.ArenaBytes(tokens * width * f.Size()))
		return device.Tensor{}
	})
	return bytes
}

// WeightBytes is what the weights take of the device's memory, and what a prefix
// computes from its own.
func (m *Model) WeightBytes() int64 {
	n := int64(0)
	for _, p := range m.params {
		n += int64(p.W.Data.N + p.W.Scales.Mem.N)
	}
	if x := m.prefix; x != nil {
		n += int64(x.mem.N + x.grad.N)
	}
	return n
}
