package term

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

// A Flow writes text that comes in pieces. On a terminal words go to the next
// line whole, and [Clean] text only; elsewhere it is as it comes.
type Flow struct {
	screen *Screen
	column int
	word   string // that may not be over yet
}

// Flow begins at the left edge.
func (s *Screen) Flow() *Flow { return &Flow{screen: s} }

// Write writes the next piece.
func (f *Flow) Write(text string) {
	if f.screen.Terminal {
		text = f.wrap(Clean(text))
	}
	fmt.Fprint(f.screen.W, text)
}

// End writes what is left, and ends the line.
func (f *Flow) End() {
	var b strings.Builder
	f.put(&b)
	b.WriteByte('\n')
	f.column = 0
	fmt.Fprint(f.screen.W, b.String())
}

// wrap breaks lines between words and, as Chinese is written, between wide
// characters.
func (f *Flow) wrap(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n':
			f.put(&b)
			b.WriteByte('\n')
			f.column = 0
		case r == ' ':
			f.put(&b)
			if f.column < f.screen.Width {
				b.WriteByte(' ')
				f.column++
			}
		case ansi.StringWidth(string(r)) > 1:
			f.put(&b)
			f.word = string(r)
			f.put(&b)
		default:
			f.word += string(r)
			if ansi.StringWidth(f.word) >= f.screen.Width {
				f.put(&b)
			}
		}
	}
	return b.String()
}

// put places a word, on the next line if it does not fit on this one.
func (f *Flow) put(b *strings.Builder) {
	width := ansi.StringWidth(f.word)
	if f.column > 0 && f.column+width > f.screen.Width {
		b.WriteByte('\n')
		f.column = 0
	}
	b.WriteString(f.word)
	f.column, f.word = f.column+width, ""
}

// Clean leaves control characters out, with which a text from elsewhere could do
// things to the terminal, and makes tabs four spaces.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ReplaceAll(text, "\t", "    "))
}
