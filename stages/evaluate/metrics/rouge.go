package metrics

import (
	"math"
	"strings"
)

// RougeScore holds F-measures in percent, rounded to four decimals.
type RougeScore struct {
	One float64 // distinct words
	Two float64 // distinct pairs of words
	L   float64 // longest common subsequence
}

// Rouge compares answer with reference as rouge_chinese does: ROUGE-1 and
// ROUGE-2 over sets of distinct n-grams, ROUGE-L over the longest common
// subsequence of all tokens; tokens of white space do not count. Precision P is
// relative to answer, recall R to reference, and F = 2PR/(P+R+1e-8). An empty
// answer scores 0.
func Rouge(answer, reference []string) RougeScore {
	answer, reference = dropBlanks(answer), dropBlanks(reference)
	return RougeScore{
		One: overlapF(answer, reference, 1),
		Two: overlapF(answer, reference, 2),
		L:   fMeasure(commonSubsequence(answer, reference), len(answer), len(reference)),
	}
}

// dropBlanks leaves out tokens of white space alone: a segmenter returns them,
// and the original loses them when it joins tokens with spaces.
func dropBlanks(tokens []string) []string {
	kept := make([]string, 0, len(tokens))
	for _, t := range tokens {
		kept = append(kept, strings.Fields(t)...)
	}
	return kept
}

func overlapF(answer, reference []string, n int) float64 {
	a, r := countNgrams(answer, n), countNgrams(reference, n)
	shared := 0
	for gram := range a {
		if _, ok := r[gram]; ok {
			shared++
		}
	}
	return fMeasure(shared, len(a), len(r))
}

// fMeasure is the F-measure of shared items in answers of a and references of r
// items, in percent.
func fMeasure(shared, a, r int) float64 {
	if a == 0 || r == 0 {
		return 0
	}
	p, q := float64(shared)/float64(a), float64(shared)/float64(r)
	f := 2 * p * q / (p + q + 1e-8)
	return math.RoundToEven(f*100*1e4) / 1e4
}

// commonSubsequence is the length of the longest common subsequence of a and b,
// in O(len(a)·len(b)) time and O(len(b)) memory.
func commonSubsequence(a, b []string) int {
	row := make([]int, len(b)+1)
	for _, x := range a {
		diagonal := 0 // the length for one token less on both sides
		for j, y := range b {
			above := row[j+1]
			if x == y {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(above, row[j])
			}
			diagonal = above
		}
	}
	return row[len(b)]
}
