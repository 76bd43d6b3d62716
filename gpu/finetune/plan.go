package finetune

import (
	"math/bits"

	"github.com/glmflow/glmflow/gpu/device"
)

// A microBatch is the indices of the conversations that are packed together.
type microBatch []int

// A step is the micro-batches whose gradients are summed before an update.
type step []microBatch

// A plan says which conversations each optimizer step sees. It follows from
// their lengths and the options, so a step's number is all the position that a
// checkpoint has to keep.
type plan struct {
	lengths []int // tokens of each conversation
	options Options
	total   int // optimizer steps in all

	epoch int    // the epoch that steps holds
	first int    // number of its first step
	steps []step // of that epoch
}

// newPlan plans training on conversations of the given lengths; there is at
// least one.
func newPlan(lengths []int, o Options) *plan {
	p := &plan{lengths: lengths, options: o}
	p.enter(0, 0)
	p.total = o.MaxSteps
	if p.total == 0 {
		p.total = len(p.steps)
		for e := 1; e < o.Epochs; e++ {
			p.total += len(p.epochSteps(e))
		}
	}
	return p
}

// at returns step number i, counted from 0, and its epoch. Asking in order
// costs one planning an epoch.
func (p *plan) at(i int) (step, int) {
	if i < p.first {
		p.enter(0, 0)
	}
	for i >= p.first+len(p.steps) {
		p.enter(p.epoch+1, p.first+len(p.steps))
	}
	return p.steps[i-p.first], p.epoch
}

// enter makes epoch the current one.
func (p *plan) enter(epoch, first int) {
	p.epoch, p.first, p.steps = epoch, first, p.epochSteps(epoch)
}

// epochSteps packs one pass over the data. A step never spans two epochs.
func (p *plan) epochSteps(epoch int) []step {
	order := inOrder(len(p.lengths))
	if p.options.Shuffle {
		shuffle(order, p.options.Seed, epoch)
	}
	bins := pack(order, p.lengths, p.options.BatchTokens)
	var steps []step
	for len(bins) > 0 {
		n := min(p.options.Accumulate, len(bins))
		steps = append(steps, step(bins[:n:n]))
		bins = bins[n:]
	}
	return steps
}

// pack fills micro-batches in the given order and starts the next one when a
// conversation does not fit. Packed batches have no padding, so an unfilled
// one costs nothing and a cleverer filling would only disturb the order. A
// conversation longer than the limit gets a micro-batch to itself.
func pack(order, lengths []int, limit int) []microBatch {
	var bins []microBatch
	room := 0
	for _, i := range order {
		if len(bins) == 0 || lengths[i] > room {
			bins = append(bins, nil)
			room = limit
		}
		bins[len(bins)-1] = append(bins[len(bins)-1], i)
		room -= lengths[i]
	}
	return bins
}

// shuffle permutes order by Fisher and Yates, drawing from a counter: the
// permutation depends on seed, epoch and length alone.
func shuffle(order []int, seed uint64, epoch int) {
	key := device.SplitMix64(seed^device.SplitMix64(uint64(epoch)+1, 0), 0)
	for i := len(order) - 1; i > 0; i-- {
		j, _ := bits.Mul64(device.SplitMix64(key+uint64(i), 0), uint64(i)+1)
		order[i], order[j] = order[j], order[i]
	}
}
