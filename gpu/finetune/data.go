package finetune

import (
	"errors"
	"fmt"
	"slices"

	"github.com/glmflow/glmflow/gpu/chatglm"
)

// An Example is one encoded conversation. Labels stand at the position of the
// id they name, with a negative number where there is no target: the model
// shifts them itself.
type Example struct {
	ID          string
	IDs, Labels []int32
}

// targets counts the supervised tokens. The first token of a sequence has
// nothing before it that could predict it, so its label never counts.
func (e Example) targets() int {
	n := 0
	for i := 1; i < len(e.Labels); i++ {
		if e.Labels[i] >= 0 {
			n++
		}
	}
	return n
}

// data is what a run trains on, and what it validates on.
type data struct {
	train, held  []Example
	val          []chatglm.Batch // of held
	cut, dropped int             // training conversations that were cut, and left out
}

// newData checks the examples against the vocabulary and prepares them.
func newData(train, val []Example, o Options, vocabulary int) (data, error) {
	if err := errors.Join(check("training", train, vocabulary), check("validation", val, vocabulary)); err != nil {
		return data{}, err
	}
	var d data
	d.train, d.cut, d.dropped = usable(train, o.MaxLength)
	if len(d.train) == 0 {
		return data{}, fmt.Errorf("%w in %d training conversations", ErrNoTargets, len(train))
	}
	d.held, _, _ = usable(val, o.MaxLength)
	for _, b := range pack(inOrder(len(d.held)), lengths(d.held), o.BatchTokens) {
		d.val = append(d.val, batch(d.held, b))
	}
	return d, nil
}

// check finds the first example of a set that the model cannot take.
func check(set string, examples []Example, vocabulary int) error {
	for i, e := range examples {
		if len(e.IDs) != len(e.Labels) {
			return fmt.Errorf("%s conversation %d (%s): %d ids and %d labels", set, i, e.ID, len(e.IDs), len(e.Labels))
		}
		for at, id := range e.IDs {
			if id < 0 || int(id) >= vocabulary || int(e.Labels[at]) >= vocabulary {
				return fmt.Errorf("%s conversation %d (%s), token %d: id %d, label %d: the model has ids 0 to %d; was the data encoded for another vocabulary?",
					set, i, e.ID, at, id, e.Labels[at], vocabulary-1)
			}
		}
	}
	return nil
}

// usable cuts examples to maxLength tokens (0 leaves them whole) and leaves out
// those without a target, which would only cost time. It says how many it cut
// and how many it left out.
func usable(examples []Example, maxLength int) (kept []Example, cut, dropped int) {
	for _, e := range examples {
		long := maxLength > 0 && len(e.IDs) > maxLength
		if long {
			e.IDs, e.Labels = e.IDs[:maxLength], e.Labels[:maxLength]
		}
		switch {
		case e.targets() == 0:
			dropped++
			continue
		case long:
			cut++
		}
		kept = append(kept, e)
	}
	return kept, cut, dropped
}

// batch packs the conversations of b.
func batch(examples []Example, b microBatch) chatglm.Batch {
	seqs := make([]chatglm.Sequence, len(b))
	for i, e := range b {
		seqs[i] = chatglm.Sequence{IDs: examples[e].IDs, Labels: examples[e].Labels}
	}
	return chatglm.Pack(seqs)
}

// lengths are the tokens of each example.
func lengths(examples []Example) []int {
	n := make([]int, len(examples))
	for i, e := range examples {
		n[i] = len(e.IDs)
	}
	return n
}

// inOrder is 0, 1, … n−1.
func inOrder(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}

// A size is that of a micro-batch.
type size struct{ tokens, conversations int }

// largest is what no micro-batch exceeds, however the conversations are ordered.
func (d data) largest(batchTokens int) size {
	var s size
	for _, examples := range [][]Example{d.train, d.held} {
		all := lengths(examples)
		if len(all) == 0 {
			continue
		}
		slices.Sort(all)
		tokens, shortest := 0, 0 // of all, and how many of the shortest fit together
		for _, n := range all {
			if tokens += n; tokens <= batchTokens {
				shortest++
			}
		}
		s.tokens = max(s.tokens, min(tokens, max(all[len(all)-1], batchTokens)))
		s.conversations = max(s.conversations, shortest, 1)
	}
	return s
}
