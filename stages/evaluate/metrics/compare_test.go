package metrics_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/glmflow/glmflow/stages/evaluate/metrics"
)

func TestCompareMeans(t *testing.T) {
	pairs := []metrics.Pair{{Baseline: 4, Candidate: 2, Weight: 2}, {Baseline: 8, Candidate: 7, Weight: 4}}
	c := metrics.Compare(pairs, metrics.Options{})
	if c.N != 2 || c.Baseline != 2 || c.Candidate != 1.5 {
		t.Fatalf("%+v, want means 2 and 1.5 of 2", c)
	}
	// The differences a resample can have are −1, −½ (one of each) and −¼.
	if c.Low != -1 || c.High != -0.25 {
		t.Errorf("interval [%v, %v], want [-1, -0.25]", c.Low, c.High)
	}
	p := metrics.Compare(pairs, metrics.Options{Scale: math.Exp})
	if p.Baseline != math.Exp(2) || p.Candidate != math.Exp(1.5) {
		t.Errorf("perplexities %v, %v", p.Baseline, p.Candidate)
	}
	if empty := metrics.Compare(nil, metrics.Options{}); empty != (metrics.Comparison{}) {
		t.Errorf("without pairs %+v", empty)
	}
}

// TestCompareCovers draws conversations whose true difference is known and
// counts how often the interval holds it: a 95 % interval should do so about 95
// times in 100.
func TestCompareCovers(t *testing.T) {
	const trials, n, truth = 200, 120, -0.1
	covered := 0
	for trial := range trials {
		r := rand.New(rand.NewPCG(1, uint64(trial)))
		pairs := make([]metrics.Pair, n)
		for i := range pairs {
			w := float64(1 + r.IntN(30))
			b := w * (2 + r.NormFloat64())
			pairs[i] = metrics.Pair{Baseline: b, Candidate: b + w*(truth+0.4*r.NormFloat64()), Weight: w}
		}
		c := metrics.Compare(pairs, metrics.Options{Seed: uint64(trial), Resamples: 500})
		if c.Low <= truth && truth <= c.High {
			covered++
		}
	}
	if covered < 178 || covered > 199 {
		t.Errorf("%d of %d intervals hold the truth, want about 190", covered, trials)
	}
}

func TestCompareProperties(t *testing.T) {
	pair := rapid.Custom(func(t *rapid.T) metrics.Pair {
		return metrics.Pair{
			Baseline:  rapid.Float64Range(0, 100).Draw(t, "baseline"),
			Candidate: rapid.Float64Range(0, 100).Draw(t, "candidate"),
			Weight:    rapid.Float64Range(1, 50).Draw(t, "weight"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		pairs := rapid.SliceOfN(pair, 1, 20).Draw(t, "pairs")
		o := metrics.Options{Seed: rapid.Uint64().Draw(t, "seed"), Resamples: 200}
		c := metrics.Compare(pairs, o)
		if c != metrics.Compare(pairs, o) {
			t.Fatal("the same arguments give another answer")
		}
		if c.Low > c.High {
			t.Fatalf("low %v above high %v", c.Low, c.High)
		}
		swapped := make([]metrics.Pair, len(pairs))
		for i, p := range pairs {
			swapped[i] = metrics.Pair{Baseline: p.Candidate, Candidate: p.Baseline, Weight: p.Weight}
		}
		s := metrics.Compare(swapped, o)
		if math.Abs(s.Low+c.High) > 1e-9 || math.Abs(s.High+c.Low) > 1e-9 {
			t.Fatalf("swapping the models does not mirror the interval: %+v, %+v", c, s)
		}
	})
}
