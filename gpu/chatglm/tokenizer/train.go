package tokenizer

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of [Train], those of the vocabulary that ChatGLM3 was made with.
const (
	coverage  = 0.9995 // of the text's characters get a piece of their own; the rest is written as bytes
	maxPieces = 1 << 20
	maxRunes  = 16 // of a piece
)

// Train makes a vocabulary of at most size pieces from texts and returns it as a
// tokenizer.model: byte-pair encoding as SentencePiece trains it for ChatGLM3,
// with the dummy prefix, byte fallback and single digits. A merge joins the most
// frequent neighbours within a word; a word ends at a space and where letters of
// one script meet anything else. Equal texts give equal bytes. Text that has too
// little to merge gives fewer pieces.
func Train(texts iter.Seq[string], size int) ([]byte, error) {
	if size > maxPieces {
		return nil, fmt.Errorf("train a vocabulary: %d pieces are more than %d", size, maxPieces)
	}
	pieces := []piece{{"<unk>", 0, unknown}, {"<s>", 0, control}, {"</s>", 0, control}}
	for b := range 256 {
		pieces = append(pieces, piece{byteText(byte(b)), 0, byteID})
	}
	words, letters := count(texts)
	alphabet := mostFrequent(letters)
	if len(alphabet) == 0 {
		return nil, errors.New("train a vocabulary: there is no text")
	}
	if least := len(pieces) + len(alphabet); least > size {
		return nil, fmt.Errorf("train a vocabulary: %d pieces cannot hold the text's %d characters: ask for %d or more", size, len(alphabet), least)
	}
	tr := newTrainer(words, alphabet)
	texted := tr.merge(size - len(pieces) - len(alphabet))
	for _, r := range alphabet {
		texted = append(texted, string(r))
	}
	for i, text := range texted {
		pieces = append(pieces, piece{text, float32(-i), normal})
	}
	return marshal(pieces), nil
}

// count returns how often each word and each character occurs.
func count(texts iter.Seq[string]) (words map[string]int, letters map[rune]int) {
	words, letters = map[string]int{}, map[rune]int{}
	for text := range texts {
		for _, line := range strings.FieldsFunc(valid(text), unicode.IsControl) {
			for w := range split(space + strings.ReplaceAll(line, " ", space)) {
				words[w]++
			}
		}
	}
	for w, n := range words {
		for _, r := range w {
			letters[r] += n
		}
	}
	delete(letters, utf8.RuneError)
	return words, letters
}

// script is the class of a character: neighbours of different classes never
// merge. A letter's is the first of the scripts below that has it.
func script(r rune) int {
	switch {
	case unicode.IsDigit(r):
		return -1 // and digits do not merge with each other
	case !unicode.IsLetter(r) && !unicode.IsMark(r):
		return 0
	}
	for i, table := range []*unicode.RangeTable{unicode.Han, unicode.Latin, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Cyrillic} {
		if unicode.Is(table, r) {
			return i + 2
		}
	}
	return 1
}

// split yields the words of a line whose spaces are "▁" already. A space goes
// with the word behind it.
func split(line string) iter.Seq[string] {
	return func(yield func(string) bool) {
		start, last := 0, rune(-1)
		for i, r := range line {
			joined := last == '▁' || script(last) == script(r)
			if i > 0 && (r == '▁' || !joined || unicode.IsDigit(r)) {
				if !yield(line[start:i]) {
					return
				}
				start = i
			}
			last = r
		}
		if start < len(line) {
			yield(line[start:])
		}
	}
}

// mostFrequent returns the characters that make up coverage of the text, the
// most frequent first, and always the space.
func mostFrequent(letters map[rune]int) []rune {
	all := slices.SortedFunc(maps.Keys(letters), func(a, b rune) int {
		return cmp.Or(cmp.Compare(letters[b], letters[a]), cmp.Compare(a, b))
	})
	total, covered := 0, 0
	for _, n := range letters {
		total += n
	}
	for i, r := range all {
		if float64(covered) >= coverage*float64(total) {
			all = all[:i]
			break
		}
		covered += letters[r]
	}
	if total > 0 && !slices.Contains(all, '▁') {
		all = append(all, '▁')
	}
	return all
}

// A trainer merges neighbours in the words of a text. Symbols are numbered texts.
type trainer struct {
	words []word
	texts []string
	ids   map[string]int32
	joins map[[2]int32]int32 // two symbols → the symbol of their concatenation, or none
	pairs map[int32]*pair    // by the symbol they would become
	queue pairQueue
}

// none marks a character outside the alphabet and a concatenation that is too long.
const none int32 = -1

type word struct {
	symbols []int32
	count   int
}

// A pair is all neighbours whose concatenation is one text, however it is split:
// the encoder joins every one of them once that text is a piece.
type pair struct {
	text  string
	sym   int32
	count int
	words map[int32]bool // indices of words that may hold it
}

func newTrainer(words map[string]int, alphabet []rune) *trainer {
	tr := &trainer{ids: map[string]int32{}, joins: map[[2]int32]int32{}, pairs: map[int32]*pair{}}
	for _, r := range alphabet {
		tr.symbol(string(r))
	}
	for _, text := range slices.Sorted(maps.Keys(words)) {
		w := word{count: words[text]}
		for _, r := range text {
			id, ok := tr.ids[string(r)]
			if !ok {
				id = none
			}
			w.symbols = append(w.symbols, id)
		}
		tr.words = append(tr.words, w)
	}
	changed := map[*pair]bool{}
	for i := range tr.words {
		tr.tally(int32(i), 1, changed)
	}
	tr.enqueue(changed)
	return tr
}

// merge makes n pieces, or as many as there are, and returns their texts.
func (tr *trainer) merge(n int) []string {
	var made []string
	seen := map[int32]bool{}
	for len(made) < n && len(tr.queue) > 0 {
		top := heap.Pop(&tr.queue).(queued)
		p := tr.pairs[top.sym]
		if top.count != p.count || p.count == 0 { // an older estimate; a newer one is queued
			continue
		}
		if !seen[p.sym] {
			seen[p.sym] = true
			made = append(made, p.text)
		}
		changed := map[*pair]bool{}
		holders := p.words
		p.words = map[int32]bool{}
		for i := range holders {
			tr.tally(i, -1, changed)
			tr.join(i, p.sym)
			tr.tally(i, 1, changed)
		}
		tr.enqueue(changed)
	}
	return made
}

// tally adds the pairs of a word to their counts, or takes them away.
func (tr *trainer) tally(i int32, sign int, changed map[*pair]bool) {
	w := tr.words[i]
	for at := 1; at < len(w.symbols); at++ {
		sym := tr.joined(w.symbols[at-1], w.symbols[at])
		if sym == none {
			continue
		}
		p := tr.pairs[sym]
		if p == nil {
			p = &pair{text: tr.texts[sym], sym: sym, words: map[int32]bool{}}
			tr.pairs[sym] = p
		}
		p.count += sign * w.count
		if sign > 0 {
			p.words[i] = true
		}
		changed[p] = true
	}
}

// join replaces, from the left, neighbours that form sym.
func (tr *trainer) join(i, sym int32) {
	old := tr.words[i].symbols
	out := old[:0]
	for at := 0; at < len(old); at++ {
		if at+1 < len(old) && tr.joined(old[at], old[at+1]) == sym {
			out = append(out, sym)
			at++
			continue
		}
		out = append(out, old[at])
	}
	tr.words[i].symbols = out
}

func (tr *trainer) symbol(text string) int32 {
	id, ok := tr.ids[text]
	if !ok {
		id = int32(len(tr.texts))
		tr.ids[text] = id
		tr.texts = append(tr.texts, text)
	}
	return id
}

func (tr *trainer) joined(a, b int32) int32 {
	if a == none || b == none {
		return none
	}
	sym, ok := tr.joins[[2]int32{a, b}]
	if !ok {
		sym = none
		if text := tr.texts[a] + tr.texts[b]; utf8.RuneCountInString(text) <= maxRunes {
			sym = tr.symbol(text)
		}
		tr.joins[[2]int32{a, b}] = sym
	}
	return sym
}

func (tr *trainer) enqueue(changed map[*pair]bool) {
	for p := range changed {
		if p.count > 0 {
			heap.Push(&tr.queue, queued{p.count, p.text, p.sym})
		}
	}
}

// A pairQueue yields the most frequent pair, then the shorter, then the one that
// sorts first: an order that no map iteration can disturb.
type pairQueue []queued

type queued struct {
	count int
	text  string
	sym   int32
}

func (q pairQueue) Len() int      { return len(q) }
func (q pairQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q pairQueue) Less(i, j int) bool {
	a, b := q[i], q[j]
	return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(len(a.text), len(b.text)), cmp.Compare(a.text, b.text)) < 0
}
func (q *pairQueue) Push(x any) { *q = append(*q, x.(queued)) }
func (q *pairQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}
