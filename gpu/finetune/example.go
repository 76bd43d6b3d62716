package finetune

import "github.com/glmflow/glmflow/gpu/chatglm"

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
