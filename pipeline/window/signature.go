package window

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/text/unicode/norm"
)

const (
	// Permutations is the length of a signature.
	Permutations = 128

	// shingle is the length, in characters, of the pieces that are compared.
	shingle = 5
)

// Signature returns the MinHash signature of text: for each of [Permutations]
// hash functions the smallest value over the text's pieces of five characters.
// The share of equal places in two signatures estimates the Jaccard similarity
// of the two sets of pieces, with a standard error of at most 0.045
// (A. Broder, On the resemblance and containment of documents, 1997).
//
// The text is compared by its letters, digits and symbols alone: compatibility
// forms are unified (NFKC), case, spaces and punctuation do not count. A text of
// fewer than five such characters is one piece. Every text has a signature.
func Signature(text string) []uint32 {
	a, b := coefficients()
	sig := make([]uint32, Permutations)
	for i := range sig {
		sig[i] = math.MaxUint32
	}
	for piece := range pieces(normalise(text)) {
		h := xxhash.Sum64String(piece)
		for i := range sig {
			// Multiply-add-shift: the upper half of a·h+b modulo 2^64.
			if v := uint32((a[i]*h + b[i]) >> 32); v < sig[i] {
				sig[i] = v
			}
		}
	}
	return sig
}

// Similarity estimates from two signatures how alike their texts are, from 0 to
// 1. Signatures of another length than [Permutations] are like nothing.
func Similarity(a, b []uint32) float64 {
	return float64(agreement(a, b)) / Permutations
}

// agreement counts the places in which two signatures are equal.
func agreement(a, b []uint32) int {
	if len(a) != Permutations || len(b) != Permutations {
		return 0
	}
	n := 0
	for i := range a {
		if a[i] == b[i] {
			n++
		}
	}
	return n
}

// normalise keeps what two copies of a text have in common.
func normalise(text string) string {
	kept := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsPunct(r) || unicode.IsControl(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFKC.String(text))
	if kept == "" {
		return text // nothing but punctuation: compare that
	}
	return kept
}

// pieces yields every run of [shingle] characters of s, or s itself when it is
// shorter.
func pieces(s string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		end, n := 0, 0
		for n < shingle && end < len(s) {
			_, w := utf8.DecodeRuneInString(s[end:])
			end, n = end+w, n+1
		}
		for start := 0; yield(s[start:end]) && end < len(s); {
			_, first := utf8.DecodeRuneInString(s[start:])
			_, next := utf8.DecodeRuneInString(s[end:])
			start, end = start+first, end+next
		}
	}
}

// coefficients returns the hash functions: odd factors and summands from a
// SplitMix64 sequence. They are part of the format of a signature and never
// change.
func coefficients() (a, b [Permutations]uint64) {
	state := uint64(0)
	next := func() uint64 {
		state += 0x9e3779b97f4a7c15
		z := state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}
	for i := range a {
		a[i], b[i] = next()|1, next()
	}
	return a, b
}
