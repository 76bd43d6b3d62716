package chatglm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/glmflow/glmflow/gpu/device"
)

// A Param is one weight.
type Param struct {
	Name  string        // as in the official checkpoint, or PEFT's for adapters
	Shape []int         // [O,I] of a linear, [V,H] of the embedding, one dimension of norms and biases
	W     device.Matrix // as it is stored; F32, of one row, for norms and biases
	Low   device.Mem    // the lower halves of BF16 weights while they are trained, see [device.Weights]
	Grad  device.Tensor // of as many numbers if trainable, else empty

	block    *block     // where W lies, nil for memory of a file or of its own
	at       int        // its first number there
	training *training  // where Grad and Low lie
	gradAt   int        // their first number there
	own      device.Mem // F16 and quantised weights that were converted
}

// A block is weights in F32 or BF16 that are allocated together, each on a
// multiple of stride.
type block struct {
	format device.Format
	mem    device.Mem
}

// A training is gradients that are allocated together, in the order of their
// weights, with the lower halves of BF16 weights beside them.
type training struct {
	format device.Format // of the gradients
	grad   device.Mem
	low    device.Mem
}

// stride is what places in a block are multiples of: a block of an 8-bit moment,
// and a multiple of the device's alignment in every format.
const stride = device.MomentBlock

// padded is what n numbers take of a block.
func padded(n int) int { return (n + stride - 1) / stride * stride }

// Len is the number of elements.
func (p *Param) Len() int { return spec{shape: p.Shape}.len() }

// Tensor is the weight's numbers, where there is one and it is F32 or BF16; empty
// elsewhere.
func (p *Param) Tensor() device.Tensor {
	if p == nil || p.W.Format != device.F32 && p.W.Format != device.BF16 {
		return device.Tensor{}
	}
	return device.Tensor{Format: p.W.Format, Mem: p.W.Data, N: p.Len()}
}

// Weights is what an optimizer updates.
func (p *Param) Weights() device.Weights { return device.Weights{W: p.Tensor(), Low: p.Low} }

// Trainable reports whether the weight gets a gradient.
func (p *Param) Trainable() bool { return !p.Grad.Empty() }

func (p *Param) isAdapter() bool { return p.isLoRA() || p.isPrefix() }
func (p *Param) isLoRA() bool    { return strings.Contains(p.Name, ".lora_") }

// IsBias reports whether the weight is added and not multiplied.
func (p *Param) IsBias() bool { return strings.HasSuffix(p.Name, ".bias") }

// IsLoRAB reports whether the weight is the second matrix of a LoRA branch.
func (p *Param) IsLoRAB() bool { return strings.HasSuffix(p.Name, ".lora_B.weight") }

// IsEmbedding reports whether the weight holds the words' embeddings.
func (p *Param) IsEmbedding() bool { return p.Name == embeddingName }

func (p *Param) isResidualProjection() bool {
	return strings.HasSuffix(p.Name, ".dense.weight") || strings.HasSuffix(p.Name, ".dense_4h_to_h.weight")
}

// group orders weights in memory: what training treats alike lies together.
func (p *Param) group() int {
	switch {
	case p.IsBias():
		return 3
	case len(p.Shape) == 1:
		return 2
	case p.IsEmbedding(), p.IsLoRAB():
		return 1
	}
	return 0
}

// inGroups is params in the order of memory.
func inGroups(params []*Param) []*Param {
	return slices.SortedStableFunc(slices.Values(params), func(a, b *Param) int { return a.group() - b.group() })
}

// A Run is trainable weights that lie end to end, with their gradients in the
// same places; between them may be room that nothing reads and that stays zero.
type Run struct {
	Params  []*Param
	Offsets []int // the first number of each
	Weights device.Weights
	Grad    device.Tensor
}

// Runs are the trainable weights in as few runs as their memory and alike allow,
// which says of neighbours whether they may be in one.
func (m *Model) Runs(alike func(a, b *Param) bool) []Run {
	var runs []Run
	var last *Param
	for _, p := range inGroups(m.Trainable()) {
		n := len(runs) - 1
		if last == nil || p.block == nil || p.block != last.block || p.training != last.training ||
			p.at != last.at+padded(last.Len()) || p.gradAt != last.gradAt+padded(last.Len()) || !alike(last, p) {
			runs, n = append(runs, Run{}), n+1
		}
		runs[n].add(p)
		last = p
	}
	return runs
}

// add puts p behind what the run has.
func (r *Run) add(p *Param) {
	r.Params = append(r.Params, p)
	first := r.Params[0]
	r.Offsets = append(r.Offsets, p.at-first.at)
	n := p.at + padded(p.Len()) - first.at
	r.Weights = device.Weights{W: part(first.block.mem, first.block.format, first.at, n)}
	r.Grad = part(first.training.grad, first.training.format, first.gradAt, n)
	if !first.training.low.Empty() {
		r.Weights.Low = first.training.low.Slice(2*first.gradAt, 2*(first.gradAt+n))
	}
}

// part is n numbers of m from number `from` on.
func part(m device.Mem, f device.Format, from, n int) device.Tensor {
	size := f.Size()
	return m.Slice(from*size, (from+n)*size).Tensor(f, n)
}

// Gradients are all gradients, each buffer once: to clear them, and for their
// norm.
func (m *Model) Gradients() []device.Tensor {
	var all []device.Tensor
	for _, t := range m.trainings {
		all = append(all, t.grad.Tensor(t.format, t.grad.N/t.format.Size()))
	}
	return all
}

// Values copies a weight's numbers to the host, which BF16 weights in training
// have in full.
func (m *Model) Values(p *Param, dst []float32) error {
	if p.Tensor().Empty() {
		return fmt.Errorf("weight %s is kept in %v", p.Name, p.W.Format)
	}
	return p.Weights().Read(m.dev, dst)
}

// SetValues is the other direction.
func (m *Model) SetValues(p *Param, src []float32) error {
	if p.Tensor().Empty() {
		return fmt.Errorf("weight %s is kept in %v", p.Name, p.W.Format)
	}
	return p.Weights().Write(m.dev, src)
}
