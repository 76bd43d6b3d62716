package sampling

import (
	"cmp"
	"iter"
	"math"
	"math/bits"
	"slices"

	"github.com/glmflow/glmflow/gpu/device"
)

// Pick picks the next token of a sequence of the given length, −1 where scores
// are not finite. seen has a bit for each id, the lowest first: the ids that a
// penalty is for. The token is added to it; it may be empty where there is no
// penalty. scores come back as they were.
func Pick(scores []float32, seen []int32, s device.Sampling, length int) int32 {
	var raw []float32
	if s.Penalty != 1 {
		for id := range members(seen) {
			raw = append(raw, scores[id])
			scores[id] = penalised(scores[id], s.Penalty)
		}
	}
	id := pick(scores, s, length)
	if s.Penalty != 1 {
		i := 0
		for id := range members(seen) {
			scores[id] = raw[i]
			i++
		}
	}
	if id >= 0 && len(seen) > 0 {
		seen[id/32] |= 1 << (id % 32)
	}
	return id
}

// members are the ids whose bits are set, ascending.
func members(seen []int32) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, word := range seen {
			for w := uint32(word); w != 0; w &= w - 1 {
				if !yield(32*i + bits.TrailingZeros32(w)) {
					return
				}
			}
		}
	}
}

// penalised is the score of an id that was seen before (Keskar et al. 2019, as
// transformers mends it for negative scores).
func penalised(score, penalty float32) float32 {
	if score > 0 {
		return score / penalty
	}
	return score * penalty
}

func pick(scores []float32, s device.Sampling, length int) int32 {
	best := likeliest(scores)
	if best < 0 || s.Temperature == 0 {
		return best
	}
	weight := weights{float64(scores[best]), float64(s.Temperature)}
	u := float64(device.Uniform(s.Seed, uint64(length)))
	if s.TopK == 0 && s.TopP == 1 {
		return int32(draw(u, len(scores), func(i int) float64 { return weight.of(scores[i]) }))
	}
	kept := filter(scores, weight, s)
	slices.SortFunc(kept, func(a, b candidate) int { return cmp.Compare(a.id, b.id) })
	return kept[draw(u, len(kept), func(i int) float64 { return weight.of(kept[i].score) })].id
}

// draw is the first i at which weights up to and with it are more than u times
// all n of them. There is one, for u < 1 and both sums are the same.
func draw(u float64, n int, weight func(i int) float64) int {
	total := 0.0
	for i := range n {
		total += weight(i)
	}
	i := 0
	for sum := weight(0); sum <= u*total; sum += weight(i) {
		i++
	}
	return i
}

// likeliest is the first of the highest scores, −1 where they are not finite.
func likeliest(scores []float32) int32 {
	best, odd := 0, float32(0)
	for i, v := range scores {
		odd += v - v // 0, but for infinities and what is no number
		if v > scores[best] {
			best = i
		}
	}
	if odd != 0 {
		return -1
	}
	return int32(best)
}

// weights are what scores become by temperature: 1 for the highest.
type weights struct{ highest, temperature float64 }

func (w weights) of(score float32) float64 {
	return math.Exp((float64(score) - w.highest) / w.temperature)
}

// filter is what top-k and then top-p leave, the likeliest first. A candidate
// stays when those before it have less than top-p together.
func filter(scores []float32, weight weights, s device.Sampling) []candidate {
	var best []candidate
	most, total := len(scores), 0.0
	if s.TopK > 0 {
		best = top(scores, int(s.TopK))
		most = len(best)
		for _, c := range best {
			total += weight.of(c.score)
		}
	} else {
		best = top(scores, firstLook)
		for _, v := range scores {
			total += weight.of(v)
		}
	}
	mass, sum, n := float64(s.TopP)*total, 0.0, 0
	for n < most && (sum < mass || s.TopP == 1) {
		if n == len(best) {
			// No other weighs more than the last one, so there must be so many more.
			more := (mass-sum)/weight.of(best[n-1].score) + 1
			best = top(scores, max(nextLook*n, n+int(min(float64(most), more))))
		}
		sum += weight.of(best[n].score)
		n++
	}
	return best[:n]
}

// Top-p alone does not say how many candidates it needs: mostly few.
const firstLook, nextLook = 64, 8
