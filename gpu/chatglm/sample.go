package chatglm

import (
	"errors"
	"math"
	"math/rand/v2"
)

// A sampler picks tokens for one prompt.
type sampler struct {
	temperature, topP float64
	topK              int
	penalty           float32
	logprobs          bool
	alternatives      int
	rand              *rand.Rand

	seen   []int32  // ids of prompt and answer, each once; nil without a penalty
	isSeen []uint64 // a bit for each id

	// Scratch.
	raw     []float32 // scores of seen before the penalty
	best    []candidate
	weights []float64
}

func newSampler(o GenerateOptions, prompt []int32, vocabulary int) *sampler {
	s := &sampler{
		temperature: float64(o.Temperature), topP: float64(o.TopP), topK: o.TopK, penalty: o.RepetitionPenalty,
		logprobs: o.Logprobs, alternatives: o.TopLogprobs,
	}
	if s.temperature > 0 {
		key := uint64(len(prompt))
		for _, id := range prompt {
			key = stream(key, uint64(id))
		}
		s.rand = rand.New(rand.NewPCG(o.Seed, key))
	}
	if s.penalty != 1 {
		s.isSeen = make([]uint64, (vocabulary+63)/64)
		for _, id := range prompt {
			s.see(id)
		}
	}
	return s
}

func (s *sampler) see(id int32) {
	if s.isSeen[id/64]>>(id%64)&1 == 0 {
		s.isSeen[id/64] |= 1 << (id % 64)
		s.seen = append(s.seen, id)
	}
}

// errScores is what broken weights lead to. The original code hides it behind
// a made-up token.
var errScores = errors.New("scores are not finite: the weights are damaged or were trained with too high a learning rate")

// next chooses a token by the model's scores, which come back as they were.
func (s *sampler) next(scores []float32) (Token, error) {
	id, err := s.pick(scores)
	if err != nil {
		return Token{}, err
	}
	t := Token{ID: id}
	if s.logprobs || s.alternatives > 0 {
		lse := logSumExp(scores)
		t.Logprob = float64(scores[id]) - lse
		if s.alternatives > 0 {
			t.Top = make([]Alternative, s.alternatives)
		}
		s.best = top(s.best[:0], scores, s.alternatives)
		for i, c := range s.best {
			t.Top[i] = Alternative{c.id, float64(c.score) - lse}
		}
	}
	return t, nil
}

func (s *sampler) pick(scores []float32) (int32, error) {
	s.raw = s.raw[:0]
	for _, id := range s.seen {
		s.raw = append(s.raw, scores[id])
		scores[id] = s.penalized(scores[id])
	}
	id, err := likeliest(scores)
	if err == nil && s.temperature > 0 {
		id = s.draw(s.distribution(scores, scores[id]))
	}
	for i, v := range s.raw {
		scores[s.seen[i]] = v
	}
	if err == nil && s.isSeen != nil {
		s.see(id)
	}
	return id, err
}

// penalized is the score of an id that was seen before (Keskar et al. 2019, as
// transformers mends it for negative scores).
func (s *sampler) penalized(score float32) float32 {
	if score > 0 {
		return score / s.penalty
	}
	return score * s.penalty
}

// likeliest is the first of the highest scores.
func likeliest(scores []float32) (int32, error) {
	best, odd := 0, float32(0)
	for i, v := range scores {
		odd += v - v // 0, but for infinities and what is no number
		if v > scores[best] {
			best = i
		}
	}
	if odd != 0 {
		return 0, errScores
	}
	return int32(best), nil
}

// distribution is what to sample from after temperature, top-k and top-p:
// candidates with weights, the sum of which is not 1. Without top-k and top-p it
// is all of the vocabulary in the order of ids, else the likeliest come first.
func (s *sampler) distribution(scores []float32, highest float32) ([]candidate, []float64) {
	weight := func(score float32) float64 { return math.Exp((float64(score) - float64(highest)) / s.temperature) }
	s.best, s.weights = s.best[:0], s.weights[:0]
	if s.topK == 0 && s.topP == 1 {
		for i, v := range scores {
			s.best, s.weights = append(s.best, candidate{v, int32(i)}), append(s.weights, weight(v))
		}
		return s.best, s.weights
	}
	n, total := s.topK, 0.0
	if n > 0 {
		s.best = top(s.best, scores, n)
		for _, c := range s.best {
			total += weight(c.score)
		}
	} else {
		for _, v := range scores {
			total += weight(v)
		}
		n = firstLook
		s.best = top(s.best, scores, n)
	}
	// A candidate is in when those before it have less than top-p together.
	kept := 0.0
	for i := 0; i < len(scores) && (s.topK == 0 || i < len(s.best)) && (s.topP == 1 || kept < s.topP*total); i++ {
		if i == len(s.best) {
			n *= nextLook
			s.best = top(s.best[:0], scores, n)
		}
		w := weight(s.best[i].score)
		s.weights = append(s.weights, w)
		kept += w
	}
	return s.best[:len(s.weights)], s.weights
}

// Top-p alone does not say how many candidates it needs: mostly few.
const firstLook, nextLook = 64, 8

// draw takes a candidate by its weight.
func (s *sampler) draw(candidates []candidate, weights []float64) int32 {
	total := 0.0
	for _, w := range weights {
		total += w
	}
	at := s.rand.Float64() * total
	for i, w := range weights {
		if at -= w; at < 0 {
			return candidates[i].id
		}
	}
	return candidates[0].id // at fell behind the last by rounding
}

// logSumExp is log Σ exp, in nats.
func logSumExp(scores []float32) float64 {
	highest, sum := scores[0], 0.0
	for _, v := range scores {
		highest = max(highest, v)
	}
	for _, v := range scores {
		sum += math.Exp(float64(v) - float64(highest))
	}
	return float64(highest) + math.Log(sum)
}
