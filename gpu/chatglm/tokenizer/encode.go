package tokenizer

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// space is the visible space of SentencePiece, U+2581.
const space = "▁"

// A Tokenizer is a vocabulary with the plain-Go encoder. It is immutable.
type Tokenizer struct {
	pieces []piece
	merges map[string]int32 // text of every normal piece → id
	bytes  [256]int32       // id of each byte's piece
	digest string
}

// index builds the lookups and checks what Encode relies on.
func (t *Tokenizer) index() error {
	t.merges = make(map[string]int32, len(t.pieces))
	seen := make(map[string]bool, len(t.pieces))
	found := 0
	for id, p := range t.pieces {
		if seen[p.text] {
			return fmt.Errorf("piece %d: %q occurs twice", id, p.text)
		}
		seen[p.text] = true
		switch p.kind {
		case normal:
			if !utf8.ValidString(p.text) {
				return fmt.Errorf("piece %d: %q is not UTF-8", id, p.text)
			}
			t.merges[p.text] = int32(id)
		case byteID:
			var b byte
			if _, err := fmt.Sscanf(p.text, "<0x%02X>", &b); err != nil || p.text != byteText(b) {
				return fmt.Errorf("piece %d: %q is no byte of the form <0xNN>", id, p.text)
			}
			t.bytes[b] = int32(id)
			found++
		}
	}
	switch {
	case len(t.pieces) <= int(EOS) || t.pieces[PAD].kind != unknown || t.pieces[BOS].kind != control || t.pieces[EOS].kind != control:
		return errors.New("the vocabulary does not begin with <unk>, <s>, </s>")
	case found != len(t.bytes):
		return fmt.Errorf("%d byte pieces, want %d", found, len(t.bytes))
	}
	return nil
}

func byteText(b byte) string { return fmt.Sprintf("<0x%02X>", b) }

// Pieces implements [Encoder].
func (t *Tokenizer) Pieces() int { return len(t.pieces) }

// Digest implements [Encoder].
func (t *Tokenizer) Digest() string { return t.digest }

// Encode implements [Encoder]. Of all neighbours whose concatenation is a piece
// it merges those of the highest score first, the leftmost at a tie, until none
// is left. What is no piece then is a single character, and goes as its bytes.
func (t *Tokenizer) Encode(text string) []int32 {
	if text == "" {
		return nil
	}
	text = space + strings.ReplaceAll(valid(text), " ", space)
	m := merger{t: t, text: text, symbols: make([]symbol, 0, utf8.RuneCountInString(text))}
	for i, r := range text {
		n := len(m.symbols)
		m.symbols = append(m.symbols, symbol{start: i, end: i + utf8.RuneLen(r), prev: n - 1, next: n + 1})
	}
	m.symbols[len(m.symbols)-1].next = -1
	m.run()

	ids := make([]int32, 0, len(m.symbols)/2+1)
	for i := 0; i >= 0; i = m.symbols[i].next {
		s := text[m.symbols[i].start:m.symbols[i].end]
		if id, ok := t.merges[s]; ok {
			ids = append(ids, id)
			continue
		}
		for j := range len(s) {
			ids = append(ids, t.bytes[s[j]])
		}
	}
	return ids
}

// valid replaces every byte that is not UTF-8 by its own U+FFFD, as
// SentencePiece does; strings.ToValidUTF8 would write one for a run of them.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// A symbol is a stretch of the text, linked with its neighbours; -1 is none.
// One that was merged into its left neighbour is empty.
type symbol struct {
	start, end int
	prev, next int
}

// A merge says that the symbols left and right form a piece. It is stale when
// either has grown since, which their length tells.
type merge struct {
	score       float32
	left, right int
	size        int // bytes of both together
}

// before orders merges: higher scores first, then the leftmost.
func (a merge) before(b merge) bool {
	return a.score > b.score || a.score == b.score && a.left < b.left
}

// A merger holds one text while it is encoded.
type merger struct {
	t       *Tokenizer
	text    string
	symbols []symbol
	heap    []merge
}

func (m *merger) run() {
	for i := 1; i < len(m.symbols); i++ {
		m.consider(i-1, i)
	}
	for len(m.heap) > 0 {
		best := m.pop()
		l, r := &m.symbols[best.left], &m.symbols[best.right]
		if l.end == l.start || r.end == r.start || r.end-l.start != best.size {
			continue
		}
		l.end, l.next = r.end, r.next
		r.start = r.end
		if l.next >= 0 {
			m.symbols[l.next].prev = best.left
		}
		m.consider(l.prev, best.left)
		m.consider(best.left, l.next)
	}
}

// consider queues the merge of two neighbours if there is such a piece.
func (m *merger) consider(left, right int) {
	if left < 0 || right < 0 {
		return
	}
	from, to := m.symbols[left].start, m.symbols[right].end
	if id, ok := m.t.merges[m.text[from:to]]; ok {
		m.push(merge{m.t.pieces[id].score, left, right, to - from})
	}
}

// push and pop keep a binary heap by hand: container/heap would box every merge.
func (m *merger) push(x merge) {
	m.heap = append(m.heap, x)
	for i := len(m.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !m.heap[i].before(m.heap[up]) {
			return
		}
		m.heap[i], m.heap[up] = m.heap[up], m.heap[i]
		i = up
	}
}

func (m *merger) pop() merge {
	top, last := m.heap[0], len(m.heap)-1
	m.heap[0] = m.heap[last]
	m.heap = m.heap[:last]
	for i := 0; ; {
		best := i
		for down := 2*i + 1; down <= 2*i+2 && down < last; down++ {
			if m.heap[down].before(m.heap[best]) {
				best = down
			}
		}
		if best == i {
			return top
		}
		m.heap[i], m.heap[best] = m.heap[best], m.heap[i]
		i = best
	}
}
