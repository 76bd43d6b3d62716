package finetune

import (
	"fmt"
	"slices"
	"sort"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/optim"
)

// A footprint is what a training takes of memory, in bytes.
type footprint struct {
	weights     int64 // of the whole model, on the device
	gradients   int64
	optimizer   int64
	copies      int64 // of the trained weights: their moving average, and the best
	activations int64 // of the largest micro-batch
	scratch     int64 // of operators, and of hosts while they save: an estimate
}

func (f footprint) total() int64 {
	return f.weights + f.gradients + f.optimizer + f.copies + f.activations + f.scratch
}

// footprint foresees a training with micro-batches of up to that many tokens, and
// with so many layers computed twice.
func (r *run) footprint(o Options, tokens, recompute int) footprint {
	f := footprint{weights: r.model.WeightBytes(), activations: r.model.ActivationBytes(tokens, recompute)}
	groups := o.groups(r.model)
	f.optimizer = optim.Bytes(o.rule(), groups)
	for _, g := range groups {
		f.weights += int64(g.Weights.Low.N)
		f.gradients += int64(g.Grad.Mem.N)
		if o.EMA > 0 {
			f.copies += int64(g.Weights.W.Mem.N + g.Weights.Low.N)
		}
	}
	largest := int64(0)
	for _, p := range r.params {
		bytes := 4 * int64(p.Len())
		if len(r.data.val) > 0 {
			f.copies += bytes
		}
		largest = max(largest, bytes)
	}
	f.scratch = scratch(r.model.Config(), int64(tokens)) + 2*largest
	return f
}

// scratch is about what the C device keeps for itself: while a product is computed
// a copy of its operands, of the right one at most 16 MiB, and for the loss the
// scores of some rows and their gradients; a quarter more, as it grows in steps.
func scratch(c chatglm.Config, tokens int64) int64 {
	h, f, v := int64(c.HiddenSize), int64(c.FFNHiddenSize), int64(c.PaddedVocabSize)
	rows := min(tokens, max(128, min(1024, 8<<20/v)))
	return 5 * (tokens*(2*f+h) + min(4<<20, h*max(v, 2*f)) + 2*rows*v)
}

// fit chooses how many layers are computed twice so that the training stays
// within its limit: as few as possible. Where none are enough the error says what
// would be.
func (r *run) fit(largest size) error {
	r.model.Recompute(0)
	o := r.options
	if o.Memory == 0 {
		return nil
	}
	layers := r.model.Config().NumLayers
	for n := range layers + 1 {
		if f := r.footprint(o, largest.tokens, n); f.total() <= int64(o.Memory) {
			r.model.Recompute(n)
			r.recomputed = n
			r.log.Info("fitting into memory", "limit", o.Memory.about(), "expected", Bytes(f.total()).about(), "layers", layers, "computed_twice", n)
			return nil
		}
	}
	f := r.footprint(o, largest.tokens, layers)
	return fmt.Errorf("memory is %s: weights take %s, gradients %s, the optimizer %s, copies of the trained weights %s and a micro-batch of %d tokens %s, with every layer computed twice; %s",
		o.Memory, Bytes(f.weights).about(), Bytes(f.gradients).about(), Bytes(f.optimizer).about(), Bytes(f.copies).about(),
		largest.tokens, Bytes(f.activations+f.scratch).about(), r.advice(largest.tokens))
}

// advice is the smallest change with which training fits, or nearly the smallest.
func (r *run) advice(tokens int) string {
	o, layers := r.options, r.model.Config().NumLayers
	longest := slices.Max(lengths(slices.Concat(r.data.train, r.data.held)))
	fits := func(o Options, tokens int) bool {
		return r.footprint(o, tokens, layers).total() <= int64(o.Memory)
	}
	// The first number of tokens that is too many.
	most := sort.Search(tokens, func(n int) bool { return !fits(o, n) }) - 1
	if most >= longest {
		return fmt.Sprintf("set batch_tokens to %d or less", most)
	}
	narrow := o
	narrow.OptimizerBits = 8
	if fits(narrow, tokens) {
		return "set optimizer_bits to 8"
	}
	const useful = 32 // tokens; a shorter conversation says nothing
	if most >= useful {
		return fmt.Sprintf("the longest conversation has %d tokens: set max_length and batch_tokens to %d or less", longest, most)
	}
	needed := Bytes(r.footprint(o, longest, layers).total())
	text := fmt.Sprintf("set memory to %s or more, and batch_tokens to %d", (needed+1<<20-1)>>20<<20, longest)
	if Whole(o.Method) {
		text += ", or method to lora"
	}
	return text
}
