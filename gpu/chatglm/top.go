package chatglm

import "slices"

// A candidate is a token and its score.
type candidate struct {
	score float32
	id    int32
}

// before orders candidates: by score, those of lower ids first among equals.
func (a candidate) before(b candidate) bool {
	return a.score > b.score || a.score == b.score && a.id < b.id
}

// top appends the n highest of scores to dst, highest first. The best so far
// are a heap with the last of them on top, so that nearly every score is only
// compared with that one: the vocabulary is not sorted.
func top(dst []candidate, scores []float32, n int) []candidate {
	n = min(n, len(scores))
	if n == 0 {
		return dst
	}
	at := len(dst)
	for i, v := range scores[:n] {
		dst = append(dst, candidate{v, int32(i)})
	}
	heap := dst[at:]
	for i := n/2 - 1; i >= 0; i-- {
		sink(heap, i)
	}
	least := heap[0].score
	for i, v := range scores[n:] {
		if v > least {
			heap[0] = candidate{v, int32(n + i)}
			sink(heap, 0)
			least = heap[0].score
		}
	}
	slices.SortFunc(heap, func(a, b candidate) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	return dst
}

// sink moves entry i down to where no entry under it comes after it.
func sink(heap []candidate, i int) {
	for {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && heap[child].before(heap[child+1]) {
			child++
		}
		if !heap[i].before(heap[child]) {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}
