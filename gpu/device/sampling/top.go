package sampling

import (
	"cmp"
	"math"
	"slices"
)

// Top fills ids and values with the highest scores, as many as they have room
// for, in falling order; of equal scores those of lower ids come first.
func Top(ids []int32, values, scores []float32) {
	for i, c := range top(scores, len(ids)) {
		ids[i], values[i] = c.id, c.score
	}
}

// LogSumExp is log Σ exp(scores), in nats.
func LogSumExp(scores []float32) float64 {
	highest, sum := slices.Max(scores), 0.0
	for _, v := range scores {
		sum += math.Exp(float64(v) - float64(highest))
	}
	return float64(highest) + math.Log(sum)
}

// Logprob is log softmax(scores) of an id, not a number for −1.
func Logprob(scores []float32, id int32) float64 {
	if id < 0 {
		return math.NaN()
	}
	return float64(scores[id]) - LogSumExp(scores)
}

// A candidate is a token and its score.
type candidate struct {
	score float32
	id    int32
}

// before orders candidates: by score, those of lower ids first among equals.
func (a candidate) before(b candidate) bool {
	return a.score > b.score || a.score == b.score && a.id < b.id
}

// order is before as slices.SortFunc asks for it.
func order(a, b candidate) int {
	return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id))
}

// keeps reports whether the score of an id comes before a or is a.
func (a candidate) keeps(score float32, id int) bool {
	return score > a.score || score == a.score && id <= int(a.id)
}

// top returns the n highest of scores, highest first. The best so far are a heap
// with the last of them on top, so that nearly every score is only compared with
// that one.
func top(scores []float32, n int) []candidate {
	n = min(n, len(scores))
	heap := make([]candidate, n)
	if n == 0 {
		return heap
	}
	for i, v := range scores[:n] {
		heap[i] = candidate{v, int32(i)}
	}
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
	slices.SortFunc(heap, order)
	return heap
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
