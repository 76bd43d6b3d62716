package metrics

import (
	"math"
	"math/bits"
	"slices"

	"github.com/glmflow/glmflow/gpu/device"
)

// A Pair is one conversation measured on two models. For losses, Baseline and
// Candidate are sums of nats and Weight the number of targets; for scores of
// whole answers Weight is 1.
type Pair struct {
	Baseline, Candidate float64
	Weight              float64
}

// A Comparison is what two models got on the same conversations.
type Comparison struct {
	N                   int     // conversations
	Baseline, Candidate float64 // weighted means
	Low, High           float64 // 95 % interval of Candidate − Baseline
}

// Options of [Compare].
type Options struct {
	Resamples int                   // bootstrap resamples; 0 is 2000
	Seed      uint64                // of the resampling
	Scale     func(float64) float64 // applied to each weighted mean; nil leaves it. math.Exp turns losses into perplexities
}

// coverage is the share of resampled differences inside the interval.
const coverage = 0.95

// Compare returns the weighted means of both models over pairs, Σx/Σw, and the
// percentile interval of their difference under a paired bootstrap (Efron and
// Tibshirani 1993, §13.3): each resample draws as many conversations as there
// are, with replacement, and both models are measured on the same draw. Draws
// come from a counter, so the same pairs and seed give the same interval
// whatever else was drawn before. Without pairs everything is 0.
func Compare(pairs []Pair, o Options) Comparison {
	if len(pairs) == 0 {
		return Comparison{}
	}
	if o.Resamples == 0 {
		o.Resamples = 2000
	}
	if o.Scale == nil {
		o.Scale = func(x float64) float64 { return x }
	}
	c := Comparison{N: len(pairs)}
	c.Baseline, c.Candidate = means(pairs, o.Scale, func(i int) int { return i })

	differences := make([]float64, o.Resamples)
	n := uint64(len(pairs))
	for r := range differences {
		base := uint64(r) * n
		b, k := means(pairs, o.Scale, func(i int) int {
			hi, _ := bits.Mul64(device.SplitMix64(o.Seed, base+uint64(i)), n)
			return int(hi)
		})
		differences[r] = k - b
	}
	slices.Sort(differences)
	c.Low = quantile(differences, (1-coverage)/2)
	c.High = quantile(differences, (1+coverage)/2)
	return c
}

// means are both models' scaled weighted means over the pairs that draw picks.
func means(pairs []Pair, scale func(float64) float64, draw func(int) int) (baseline, candidate float64) {
	var b, c, w float64
	for i := range pairs {
		p := &pairs[draw(i)]
		b += p.Baseline
		c += p.Candidate
		w += p.Weight
	}
	if w == 0 {
		return 0, 0
	}
	return scale(b / w), scale(c / w)
}

// quantile interpolates linearly between the two nearest values of sorted.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(math.Floor(at))
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
