package metrics

import (
	"fmt"
	"unicode"
	_ "unsafe" // for go:linkname

	"github.com/go-ego/gse"
)

// Segment cuts text into the tokens that BLEU and ROUGE count.
type Segment func(text string) []string

// Characters cuts every Chinese, Japanese or Korean character and every
// punctuation mark into a token of its own, and keeps runs of other letters and
// digits whole: characters for Chinese, words for English. White space
// separates and is dropped.
func Characters(text string) []string {
	var tokens []string
	start := -1 // first byte of the run of letters that is open, -1 if none
	flush := func(end int) {
		if start >= 0 {
			tokens = append(tokens, text[start:end])
			start = -1
		}
	}
	for i, r := range text {
		switch {
		case unicode.IsSpace(r):
			flush(i)
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul):
			flush(i)
			tokens = append(tokens, string(r))
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r):
			if start < 0 {
				start = i
			}
		default:
			flush(i)
			tokens = append(tokens, string(r))
		}
	}
	flush(len(text))
	return tokens
}

// simplified is gse's dictionary of simplified Chinese. Asked for by its public
// name, it comes with the Japanese and the traditional one, which nobody here
// reads: 27 MB of the binary.
//
//go:linkname simplified github.com/go-ego/gse.zhS
var simplified string

// NewWords loads a dictionary of simplified Chinese and returns a segment that
// cuts text into words, with a hidden Markov model for what the dictionary
// lacks, as jieba's accurate mode does. Loading takes about two seconds and
// some 200 MB, so ask for it once, and only where words are wanted. The result
// is for one goroutine.
func NewWords() (Segment, error) {
	var s gse.Segmenter
	s.SkipLog = true
	if err := s.LoadDictStr(simplified); err != nil {
		return nil, fmt.Errorf("load word dictionary: %w", err)
	}
	s.LoadModel()
	return func(text string) []string { return s.Cut(text, true) }, nil
}
