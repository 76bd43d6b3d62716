package sampling

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawScores draws few different ones, so that many are equal.
func drawScores(t *rapid.T) []float32 {
	score := rapid.Custom(func(t *rapid.T) float32 { return float32(rapid.IntRange(-10, 10).Draw(t, "score")) / 2 })
	return rapid.SliceOfN(score, 1, 300).Draw(t, "scores")
}

// sorted is all of scores, highest first.
func sorted(scores []float32) []candidate {
	var all []candidate
	for i, v := range scores {
		all = append(all, candidate{v, int32(i)})
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return int(2 * (b.score - a.score)) })
	return all
}

// TestTop compares the selection with sorting everything.
func TestTop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scores := drawScores(t)
		n := rapid.IntRange(0, len(scores)).Draw(t, "n")
		ids, values := make([]int32, n), make([]float32, n)
		Top(ids, values, scores)
		for i, want := range sorted(scores)[:n] {
			if got := (candidate{values[i], ids[i]}); got != want {
				t.Fatalf("number %d of the first %d of %v is %v, want %v", i, n, scores, got, want)
			}
		}
	})
}

func TestLogSumExp(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		scores []float32
		want   float64
	}{
		{[]float32{3}, 3},
		{[]float32{0, 0, 0, 0}, math.Log(4)},
		{[]float32{1000, 1000}, 1000 + math.Log(2)},
		{[]float32{-1000, -1001}, -1000 + math.Log1p(math.Exp(-1))},
		{[]float32{2, -inf}, 2},
	} {
		if got := LogSumExp(c.scores); math.Abs(got-c.want) > 1e-12*math.Abs(c.want) {
			t.Errorf("of %v: %g, want %g", c.scores, got, c.want)
		}
	}
	for _, bad := range []float32{inf, float32(math.NaN())} {
		if got := LogSumExp([]float32{1, bad, 2}); !math.IsNaN(got) {
			t.Errorf("with a score of %g: %g, want no number", bad, got)
		}
	}
}

func TestLogprob(t *testing.T) {
	if got := Logprob([]float32{1, 3, 1}, 1); math.Abs(got+math.Log1p(2*math.Exp(-2))) > 1e-12 {
		t.Errorf("of the likeliest: %g", got)
	}
	if got := Logprob([]float32{1, float32(math.NaN())}, -1); !math.IsNaN(got) {
		t.Errorf("where none was picked: %g", got)
	}
}
