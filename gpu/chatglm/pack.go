package chatglm

import (
	"errors"
	"fmt"
	"slices"
)

// A Sequence is one conversation: ids, and labels of the same length with a
// negative number where there is no target. Nil labels have no target at all.
type Sequence struct {
	IDs, Labels []int32
	Weights     []float32 // of each id's label in the loss; nil is 1
}

// A Batch is several sequences in one row, with their boundaries: nothing is
// padded, and no sequence attends to another. M is the number of tokens.
type Batch struct {
	IDs       []int32   // [M]
	Labels    []int32   // [M], not shifted: the label of an id stands at the id
	Weights   []float32 // [M] of each label in the loss, at the label; nil is 1
	Positions []int32   // [M], from 0 in every sequence
	CuSeqlens []int32   // sequence i is tokens CuSeqlens[i] up to CuSeqlens[i+1]
}

// Pack lays sequences end to end.
func Pack(seqs []Sequence) Batch {
	b := Batch{CuSeqlens: []int32{0}}
	weighted := slices.ContainsFunc(seqs, func(s Sequence) bool { return s.Weights != nil })
	for _, s := range seqs {
		b.IDs = append(b.IDs, s.IDs...)
		for i := range s.IDs {
			b.Positions = append(b.Positions, int32(i))
			label := int32(-1)
			if i < len(s.Labels) {
				label = s.Labels[i]
			}
			b.Labels = append(b.Labels, label)
			if weighted {
				weight := float32(1)
				if i < len(s.Weights) {
					weight = s.Weights[i]
				}
				b.Weights = append(b.Weights, weight)
			}
		}
		b.CuSeqlens = append(b.CuSeqlens, int32(len(b.IDs)))
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
	for s := 1; s < len(b.CuSeqlens); s++ {
		for t := b.CuSeqlens[s-1]; t+1 < b.CuSeqlens[s]; t++ {
			if l := b.Labels[t+1]; l >= 0 {
				out[t] = l
			}
		}
	}
	return out
}

// weights are those of targets, one position earlier than the labels'; nil for
// none.
func (b Batch) weights() []float32 {
	if b.Weights == nil {
		return nil
	}
	return append(b.Weights[1:len(b.Weights):len(b.Weights)], 1)
}

// check finds what the operators would stumble over.
func (m *Model) check(b Batch) error {
	n := len(b.IDs)
	if n == 0 || len(b.CuSeqlens) < 2 || b.CuSeqlens[0] != 0 || int(b.CuSeqlens[len(b.CuSeqlens)-1]) != n {
		return errors.New("batch: sequence starts do not cover the tokens")
	}
	if len(b.Labels) != n || len(b.Positions) != n || len(b.Weights) != n && b.Weights != nil {
		return fmt.Errorf("batch: %d ids, %d labels, %d weights, %d positions", n, len(b.Labels), len(b.Weights), len(b.Positions))
	}
	for i, w := range b.Weights {
		if w-w != 0 {
			return fmt.Errorf("batch: weight %d is %g: want a finite number", i, w)
		}
	}
	for i := 1; i < len(b.CuSeqlens); i++ {
		if b.CuSeqlens[i] < b.CuSeqlens[i-1] {
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
