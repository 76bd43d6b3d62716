package sampling

import (
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
	last := cutoff(scores, weight, s)
	total := 0.0
	for i, v := range scores {
		if last.keeps(v, i) {
			total += weight.of(v)
		}
	}
	at, sum := float64(device.Uniform(s.Seed, uint64(length)))*total, 0.0
	for i, v := range scores {
		if last.keeps(v, i) {
			if sum += weight.of(v); sum > at {
				return int32(i)
			}
		}
	}
	panic("sampling: the sum of what was kept is not what it was")
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

// Every factor of e below the highest is binsPerE bins.
const binCount, binsPerE = 1024, 32

// bin is the bin of a score, 0 for the highest. The last has all that is lower.
func (w weights) bin(score float32) int {
	return int(min((w.highest-float64(score))/w.temperature*binsPerE, binCount-1))
}

// reach is the first of sorted candidates that has mass together with those
// before it, or the last.
func (w weights) reach(sorted []candidate, mass float64) candidate {
	sum := 0.0
	for _, c := range sorted {
		if sum += w.of(c.score); sum >= mass {
			return c
		}
	}
	return sorted[len(sorted)-1]
}

// cutoff is the last candidate that top-k and then top-p leave. One stays when
// those before it have less than top-p together.
func cutoff(scores []float32, weight weights, s device.Sampling) candidate {
	switch {
	case s.TopK > 0 && int(s.TopK) < len(scores):
		best := top(scores, int(s.TopK))
		if s.TopP == 1 {
			return best[len(best)-1]
		}
		total := 0.0
		for _, c := range best {
			total += weight.of(c.score)
		}
		return weight.reach(best, float64(s.TopP)*total)
	case s.TopP < 1:
		return nucleus(scores, weight, float64(s.TopP))
	}
	return candidate{float32(math.Inf(-1)), 0}
}

// nucleus is the cutoff of top-p alone. Scores fall into bins by how far they
// are below the highest; only the bin in which p is reached is sorted.
func nucleus(scores []float32, weight weights, p float64) candidate {
	var bins [binCount]float64
	total := 0.0
	for _, v := range scores {
		w := weight.of(v)
		bins[weight.bin(v)] += w
		total += w
	}
	at, sum := 0, 0.0
	for at < binCount-1 && sum+bins[at] < p*total {
		sum += bins[at]
		at++
	}
	var open []candidate
	for i, v := range scores {
		if weight.bin(v) == at {
			open = append(open, candidate{v, int32(i)})
		}
	}
	slices.SortFunc(open, order)
	return weight.reach(open, p*total-sum)
}
