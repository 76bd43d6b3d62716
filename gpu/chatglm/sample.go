package chatglm

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
)

// A sampler picks tokens for one prompt.
type sampler struct {
	temperature, topP float64
	topK              int
	rand              *rand.Rand
	order             []int32 // scratch
}

func newSampler(o GenerateOptions, prompt []int32) *sampler {
	s := &sampler{temperature: float64(o.Temperature), topP: float64(o.TopP), topK: o.TopK}
	if s.topP == 0 {
		s.topP = 1
	}
	if s.temperature > 0 {
		key := uint64(len(prompt))
		for _, id := range prompt {
			key = stream(key, uint64(id))
		}
		s.rand = rand.New(rand.NewPCG(o.Seed, key))
	}
	return s
}

// errScores is what broken weights lead to. The original code hides it behind
// a made-up token.
var errScores = errors.New("scores are not finite: the weights are damaged or were trained with too high a learning rate")

// pick chooses the next token by temperature, then top-k, then top-p.
func (s *sampler) pick(scores []float32) (int32, error) {
	best := 0
	for i, v := range scores {
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return 0, errScores
		}
		if v > scores[best] {
			best = i
		}
	}
	if s.temperature == 0 {
		return int32(best), nil
	}
	if len(s.order) != len(scores) {
		s.order = make([]int32, len(scores))
	}
	for i := range s.order {
		s.order[i] = int32(i)
	}
	slices.SortStableFunc(s.order, func(a, b int32) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return 0
	})
	n := len(scores)
	if s.topK > 0 {
		n = min(n, s.topK)
	}
	weights, sum := make([]float64, n), 0.0
	for i := range weights {
		weights[i] = math.Exp(float64(scores[s.order[i]]-scores[best]) / s.temperature)
		sum += weights[i]
	}
	kept := 0.0
	for i, w := range weights {
		kept += w
		if kept >= s.topP*sum {
			weights = weights[:i+1]
			break
		}
	}
	at := s.rand.Float64() * kept
	for i, w := range weights {
		if at -= w; at < 0 {
			return s.order[i], nil
		}
	}
	return s.order[len(weights)-1], nil
}
