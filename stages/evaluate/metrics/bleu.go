package metrics

import "math"

// bleuOrder is the longest n-gram that [BLEU4] counts.
const bleuOrder = 4

// BLEU4 is the sentence BLEU of answer against one reference, between 0 and 1:
//
//	exp(min(0, 1−r/c)) · (p₁·p₂·p₃·p₄)^¼
//
// with c and r the lengths of answer and reference (Papineni et al. 2002). p_n
// is the clipped share of the answer's n-grams that the reference has, over at
// least 1. The k-th order without any match counts as 1/(2ᵏ·denominator)
// instead (smoothing 3 of Chen and Cherry 2014); an answer that shares no token
// with the reference scores 0.
func BLEU4(answer, reference []string) float64 {
	if len(answer) == 0 {
		return 0
	}
	var logs float64
	misses := 0
	for n := 1; n <= bleuOrder; n++ {
		matches := clippedMatches(answer, reference, n)
		denominator := float64(max(1, len(answer)-n+1))
		if matches == 0 {
			if n == 1 {
				return 0
			}
			misses++
			logs -= math.Log(math.Pow(2, float64(misses)) * denominator)
			continue
		}
		logs += math.Log(float64(matches) / denominator)
	}
	brevity := min(0, 1-float64(len(reference))/float64(len(answer)))
	return math.Exp(brevity + logs/bleuOrder)
}

// clippedMatches counts the n-grams of answer that reference has, each at most
// as often as reference has it.
func clippedMatches(answer, reference []string, n int) int {
	have := countNgrams(reference, n)
	matches := 0
	for gram, count := range countNgrams(answer, n) {
		matches += min(count, have[gram])
	}
	return matches
}

// A ngram is up to bleuOrder tokens; shorter ones leave the rest empty.
type ngram [bleuOrder]string

func countNgrams(tokens []string, n int) map[ngram]int {
	counts := make(map[ngram]int)
	for i := 0; i+n <= len(tokens); i++ {
		var gram ngram
		copy(gram[:], tokens[i:i+n])
		counts[gram]++
	}
	return counts
}
