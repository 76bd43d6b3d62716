package chatglm

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestDistributionAgreesWithTransformers: testdata/sampling.py had Hugging Face's
// own logits processors work on the same scores.
func TestDistributionAgreesWithTransformers(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "sampling.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Scores        []float32
		Seen          []int32
		Penalty       float32
		Temperature   float32
		TopK          int
		TopP          float32
		Probabilities map[int32]float64
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		s := newSampler(GenerateOptions{RepetitionPenalty: c.Penalty, Temperature: c.Temperature, TopK: c.TopK, TopP: c.TopP}, c.Seen, len(c.Scores))
		scores := slices.Clone(c.Scores)
		for k, id := range s.seen {
			scores[id] = s.penalized(scores[id])
			if k > 0 && s.seen[k-1] == id {
				t.Errorf("case %d: id %d is penalized twice", i, id)
			}
		}
		candidates, weights := s.distribution(scores, slices.Max(scores))
		total := 0.0
		for _, w := range weights {
			total += w
		}
		if len(candidates) != len(c.Probabilities) {
			t.Errorf("case %d: %d candidates, want %d", i, len(candidates), len(c.Probabilities))
		}
		for k, got := range candidates {
			want, ok := c.Probabilities[got.id]
			if p := weights[k] / total; !ok || math.Abs(p-want) > 1e-5*want+1e-7 {
				t.Errorf("case %d: token %d has probability %g, want %g", i, got.id, p, want)
			}
		}
	}
	if len(cases) < 20 {
		t.Errorf("only %d cases", len(cases))
	}
}

// TestTop compares the selection with sorting everything.
func TestTop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Few different scores, so that many are equal.
		scores := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) float32 { return float32(rapid.IntRange(-5, 5).Draw(t, "score")) }), 1, 300).Draw(t, "scores")
		n := rapid.IntRange(0, 310).Draw(t, "n")
		var all []candidate
		for i, v := range scores {
			all = append(all, candidate{v, int32(i)})
		}
		slices.SortStableFunc(all, func(a, b candidate) int { return int(b.score - a.score) })
		want := all[:min(n, len(all))]
		if got := top([]candidate{{9, 9}}, scores, n); !slices.Equal(got[1:], want) || got[0] != (candidate{9, 9}) {
			t.Fatalf("the first %d of %v are %v, want %v", n, scores, got, want)
		}
	})
}

func TestSamplingFollowsItsSeedAndOptions(t *testing.T) {
	scores := make([]float32, 50)
	for i := range scores {
		scores[i] = float32(i) / 10
	}
	sampling := func(o GenerateOptions) *sampler {
		if o.TopP == 0 {
			o.TopP = 1
		}
		if o.RepetitionPenalty == 0 {
			o.RepetitionPenalty = 1
		}
		return newSampler(o, nil, len(scores))
	}
	draw := func(o GenerateOptions, n int) map[int32]int {
		s, seen := sampling(o), map[int32]int{}
		for range n {
			token, err := s.next(scores)
			if err != nil {
				t.Fatal(err)
			}
			seen[token.ID]++
		}
		return seen
	}
	if a, b := draw(GenerateOptions{Temperature: 1, Seed: 3}, 100), draw(GenerateOptions{Temperature: 1, Seed: 3}, 100); !cmp.Equal(a, b) {
		t.Error("one seed gave two answers")
	}
	for id := range draw(GenerateOptions{Temperature: 5, TopK: 3}, 300) {
		if id < 47 {
			t.Errorf("top-k 3 gave the %dth likeliest", 50-id)
		}
	}
	// The three likeliest have about 26 % together at temperature 1.
	if seen := draw(GenerateOptions{Temperature: 1, TopP: 0.25}, 300); len(seen) != 3 {
		t.Errorf("top-p 0.25 drew from %d tokens, want 3", len(seen))
	}
	// Drawing follows the probabilities: 0.0958 for the likeliest, with and
	// without top-p.
	for _, p := range []float32{1, 0.9999999} {
		if n := draw(GenerateOptions{Temperature: 1, Seed: 1, TopP: p}, 20000)[49]; math.Abs(float64(n)/20000-0.0958) > 0.01 {
			t.Errorf("the likeliest token was drawn %d times of 20000", n)
		}
	}
	// A temperature near 0 is as good as greedy and divides nothing by zero.
	if seen := draw(GenerateOptions{Temperature: 1e-30}, 100); seen[49] != 100 {
		t.Errorf("at a temperature near 0: %v", seen)
	}
	// With a penalty that outweighs all differences, greedy answers repeat nothing
	// before they must, and the scores are as they were.
	before := slices.Clone(scores)
	if seen := draw(GenerateOptions{RepetitionPenalty: 1e6}, 49); len(seen) != 49 {
		t.Errorf("with a penalty %d different tokens of 49", len(seen))
	}
	if !slices.Equal(before, scores) {
		t.Error("the penalty stayed in the scores")
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		scores[3] = float32(bad)
		for _, o := range []GenerateOptions{{}, {Temperature: 1}, {Logprobs: true}} {
			if _, err := sampling(o).next(scores); err == nil {
				t.Errorf("score %g went unnoticed", bad)
			}
		}
	}
}

// BenchmarkNext picks tokens from the real vocabulary. Nothing of its size may
// be allocated or sorted.
func BenchmarkNext(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	scores := make([]float32, 65024)
	for i := range scores {
		scores[i] = float32(3 * r.NormFloat64())
	}
	for i := range 40 { // a model that has an opinion
		scores[i*1000] += 15
	}
	for _, o := range []GenerateOptions{
		{TopP: 1, RepetitionPenalty: 1},
		{Temperature: 0.8, TopK: 50, TopP: 0.8, RepetitionPenalty: 1},
		{Temperature: 0.8, TopK: 50, TopP: 0.8, RepetitionPenalty: 1.1},
		{Temperature: 0.8, TopP: 0.8, RepetitionPenalty: 1},
		{Temperature: 1, TopP: 1, RepetitionPenalty: 1},
		{TopP: 1, RepetitionPenalty: 1, TopLogprobs: 5},
	} {
		b.Run(fmt.Sprintf("temperature=%g,k=%d,p=%g,penalty=%g,logprobs=%d", o.Temperature, o.TopK, o.TopP, o.RepetitionPenalty, o.TopLogprobs), func(b *testing.B) {
			s := newSampler(o, []int32{1, 2, 3}, len(scores))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.next(scores); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
