package chatglm

import (
	"errors"
	"fmt"
)

// A Sequence is one conversation: ids, and labels of the same length with a
// negative number where there is no target. Nil labels have no target at all.
type Sequence struct {
	IDs, Labels []int32
}

// A Batch is several sequences in one row, with their boundaries: nothing is
// padded, and no sequence attends to another. M is the number of tokens.
type Batch struct {
	IDs       []int32 // [M]
	Labels    []int32 // [M], not shifted: the label of an id stands at the id
	Positions []int32 // [M], from 0 in every sequence
	Starts    []int32 // sequence i is tokens Starts[i] up to Starts[i+1]
}

// Pack lays sequences end to end.
func Pack(seqs []Sequence) Batch {
	b := Batch{Starts: []int32{0}}
	for _, s := range seqs {
		b.IDs = append(b.IDs, s.IDs...)
		for i := range s.IDs {
			b.Positions = append(b.Positions, int32(i))
			label := int32(-1)
			if i < len(s.Labels) {
				label = s.Labels[i]
			}
			b.Labels = append(b.Labels, label)
		}
		b.Starts = append(b.Starts, int32(len(b.IDs)))
	}
	return b
}

// targets are the labels one position earlier: what each token should predict,
// −1 for nothing. The last token of a sequence predicts nothing.
func (b Batch) targets() []int32 {
	out := make([]int32, len(b.IDs))
	for i := range out {
		out[i] = -1
	}
	for s := 1; s < len(b.Starts); s++ {
		for t := b.Starts[s-1]; t+1 < b.Starts[s]; t++ {
			if l := b.Labels[t+1]; l >= 0 {
				out[t] = l
			}
		}
	}
	return out
}

// check finds what the operators would stumble over.
func (m *Model) check(b Batch) error {
	n := len(b.IDs)
	if n == 0 || len(b.Starts) < 2 || b.Starts[0] != 0 || int(b.Starts[len(b.Starts)-1]) != n {
		return errors.New("batch: sequence starts do not cover the tokens")
	}
	if len(b.Labels) != n || len(b.Positions) != n {
		return fmt.Errorf("batch: %d ids, %d labels, %d positions", n, len(b.Labels), len(b.Positions))
	}
	for i := 1; i < len(b.Starts); i++ {
		if b.Starts[i] < b.Starts[i-1] {
			return fmt.Errorf("batch: sequence %d ends before it starts", i-1)
		}
	}
	for i, id := range b.IDs {
		if id < 0 || int(id) >= m.cfg.PaddedVocabSize || int(b.Labels[i]) >= m.cfg.PaddedVocabSize {
			return fmt.Errorf("batch: token %d: id %d, label %d: the vocabulary has %d ids", i, id, b.Labels[i], m.cfg.PaddedVocabSize)
		}
		if p := b.Positions[i]; p < 0 || p >= maxSize {
			return fmt.Errorf("batch: token %d has position %d: want 0 to %d", i, p, maxSize-1)
		}
	}
	return nil
}
