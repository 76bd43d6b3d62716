package sampling

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/glmflow/glmflow/gpu/device"
)

var greedy = device.Sampling{Penalty: 1, TopP: 1}

// mark makes a set of ids below v.
func mark(v int, ids ...int32) []int32 {
	seen := make([]int32, (v+31)/32)
	for _, id := range ids {
		seen[id/32] |= 1 << (id % 32)
	}
	return seen
}

// naive is Pick by the words of device.Sampling, with everything sorted.
func naive(scores []float32, seen []int32, s device.Sampling, length int) int32 {
	scores = slices.Clone(scores)
	for id := range scores {
		if len(seen) > 0 && seen[id/32]>>(id%32)&1 != 0 {
			scores[id] = penalised(scores[id], s.Penalty)
		}
	}
	all := sorted(scores)
	if s.Temperature == 0 {
		return all[0].id
	}
	weight := func(c candidate) float64 {
		return math.Exp((float64(c.score) - float64(all[0].score)) / float64(s.Temperature))
	}
	byID := func(a, b candidate) int { return int(a.id - b.id) }
	kept := slices.Clone(all)
	if s.TopK > 0 {
		kept = kept[:min(int(s.TopK), len(kept))]
	} else {
		slices.SortFunc(kept, byID)
	}
	total := 0.0
	for _, c := range kept {
		total += weight(c)
	}
	if s.TopP < 1 {
		enough, sum := 0, 0.0
		for ; enough < len(kept) && sum < float64(s.TopP)*total; enough++ {
			sum += weight(all[enough])
		}
		kept = slices.Clone(all[:enough])
	}
	slices.SortFunc(kept, byID)
	total = 0
	for _, c := range kept {
		total += weight(c)
	}
	at, sum := float64(device.Uniform(s.Seed, uint64(length)))*total, 0.0
	for _, c := range kept {
		if sum += weight(c); sum > at {
			return c.id
		}
	}
	return -2
}

// TestPickAgreesWithTheNaiveOne, on penalised scores that are still exact halves
// and others.
func TestPickAgreesWithTheNaiveOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scores := drawScores(t)
		s := device.Sampling{
			Penalty:     rapid.SampledFrom([]float32{1, 2, 0.5}).Draw(t, "penalty"),
			Temperature: rapid.SampledFrom([]float32{0, 1e-30, 0.3, 1, 50}).Draw(t, "temperature"),
			TopK:        rapid.SampledFrom([]int32{0, 1, 3, 70, 1000}).Draw(t, "top-k"),
			TopP:        rapid.SampledFrom([]float32{1, 0.9999999, 0.95, 0.5, 1e-6}).Draw(t, "top-p"),
			Seed:        rapid.Uint64().Draw(t, "seed"),
		}
		for i := range scores {
			scores[i] *= 2 // a quarter of them is a half
		}
		length := rapid.IntRange(0, 1<<20).Draw(t, "length")
		seen := mark(len(scores))
		for i := range seen {
			seen[i] = int32(rapid.Uint32().Draw(t, "seen"))
		}
		seen[len(seen)-1] &= int32(1)<<(len(scores)%32) - 1 // ids that there are
		before, was := slices.Clone(scores), slices.Clone(seen)
		want := naive(scores, seen, s, length)
		if got := Pick(scores, seen, s, length); got != want {
			t.Fatalf("%+v picks %d, want %d", s, got, want)
		}
		if !slices.Equal(scores, before) {
			t.Fatal("scores have changed")
		}
		was[want/32] |= 1 << (want % 32)
		if !slices.Equal(seen, was) {
			t.Fatalf("seen are %x, want %x", seen, was)
		}
	})
}

// filter is what is left of scores.
func filter(scores []float32, weight weights, s device.Sampling) []candidate {
	last := cutoff(scores, weight, s)
	var kept []candidate
	for i, v := range scores {
		if last.keeps(v, i) {
			kept = append(kept, candidate{v, int32(i)})
		}
	}
	return kept
}

// TestFilterAgreesWithTransformers: testdata/sampling.py had Hugging Face's own
// logits processors work on the same scores.
func TestFilterAgreesWithTransformers(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "sampling.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Scores        []float32
		Seen          []int32
		Penalty       float32
		Temperature   float32
		TopK          int32
		TopP          float32
		Probabilities map[int32]float64
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 20 {
		t.Errorf("only %d cases", len(cases))
	}
	for i, c := range cases {
		for id := range members(mark(len(c.Scores), c.Seen...)) {
			c.Scores[id] = penalised(c.Scores[id], c.Penalty)
		}
		weight := weights{float64(slices.Max(c.Scores)), float64(c.Temperature)}
		kept := filter(c.Scores, weight, device.Sampling{TopK: c.TopK, TopP: c.TopP})
		if len(kept) != len(c.Probabilities) {
			t.Errorf("case %d: %d candidates, want %d", i, len(kept), len(c.Probabilities))
		}
		total := 0.0
		for _, k := range kept {
			total += weight.of(k.score)
		}
		for _, k := range kept {
			want, ok := c.Probabilities[k.id]
			if p := weight.of(k.score) / total; !ok || math.Abs(p-want) > 1e-5*want+1e-7 {
				t.Errorf("case %d: token %d has probability %g, want %g", i, k.id, p, want)
			}
		}
	}
}

// TestFlatNucleus: where nothing is likely, top-p keeps thousands.
func TestFlatNucleus(t *testing.T) {
	scores := make([]float32, 5000)
	if n := len(filter(scores, weights{0, 1}, device.Sampling{TopP: 0.75})); n != 3750 {
		t.Errorf("top-p of 3/4 keeps %d of 5000 equal ones", n)
	}
	for i := range scores[1:] {
		scores[1+i] = -800 // weighs nothing
	}
	if n := len(filter(scores, weights{0, 1}, device.Sampling{TopP: 0.75})); n != 1 {
		t.Errorf("top-p keeps %d of one that is certain", n)
	}
}

// TestDrawsFollowTheProbabilities, with and without top-p.
func TestDrawsFollowTheProbabilities(t *testing.T) {
	scores, want, total := make([]float32, 20), make([]float64, 20), 0.0
	for i := range scores {
		scores[i] = float32(i) / 10
		want[i] = math.Exp(float64(scores[i]))
		total += want[i]
	}
	const n = 50_000
	for _, p := range []float32{1, 0.9999999} {
		counts := make([]int, len(scores))
		for length := range n {
			counts[Pick(scores, nil, device.Sampling{Penalty: 1, Temperature: 1, TopP: p, Seed: 5}, length)]++
		}
		for i, c := range counts {
			if got, want := float64(c)/n, want[i]/total; math.Abs(got-want) > 5*math.Sqrt(want/n) {
				t.Errorf("top-p %g: token %d was drawn %g of the times, want %g", p, i, got, want)
			}
		}
	}
}

// TestGreedyWithAPenalty repeats nothing before it must.
func TestGreedyWithAPenalty(t *testing.T) {
	scores := make([]float32, 50)
	for i := range scores {
		scores[i] = float32(1 + i)
	}
	s := greedy
	s.Penalty = 1e6
	seen := mark(len(scores))
	for i := range scores {
		if got, want := Pick(scores, seen, s, i), int32(len(scores)-1-i); got != want {
			t.Fatalf("pick %d is %d, want %d", i, got, want)
		}
	}
}

func TestScoresThatAreNotFinite(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		for _, s := range []device.Sampling{greedy, {Penalty: 1, Temperature: 1, TopP: 1}, {Penalty: 2, Temperature: 1, TopP: 0.5, TopK: 2}} {
			seen := mark(4, 2)
			if got := Pick([]float32{1, float32(bad), 3, 2}, seen, s, 0); got != -1 {
				t.Errorf("with a score of %g, %+v picks %d", bad, s, got)
			}
			if !slices.Equal(seen, mark(4, 2)) {
				t.Errorf("with a score of %g something was seen", bad)
			}
		}
	}
}

// BenchmarkPick picks tokens from the real vocabulary, of a model that has an
// opinion and of one that has none.
func BenchmarkPick(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	flat, sharp := make([]float32, 65024), make([]float32, 65024)
	for i := range flat {
		flat[i] = float32(r.NormFloat64())
		sharp[i] = 3 * flat[i]
	}
	for i := range 40 {
		sharp[i*1000] += 15
	}
	for name, scores := range map[string][]float32{"flat": flat, "sharp": sharp} {
		for _, s := range []device.Sampling{
			greedy,
			{Penalty: 1, Temperature: 0.8, TopK: 50, TopP: 0.8},
			{Penalty: 1.1, Temperature: 0.8, TopK: 50, TopP: 0.8},
			{Penalty: 1, Temperature: 0.8, TopP: 0.8},
			{Penalty: 1, Temperature: 1, TopP: 1},
		} {
			b.Run(fmt.Sprintf("%s,temperature=%g,k=%d,p=%g,penalty=%g", name, s.Temperature, s.TopK, s.TopP, s.Penalty), func(b *testing.B) {
				b.ReportAllocs()
				seen, length := mark(len(scores), 1, 2, 3), 0
				for b.Loop() {
					Pick(scores, seen, s, length)
					length++
				}
			})
		}
	}
}
