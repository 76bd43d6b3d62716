package clean

import (
	"strings"
	"unicode/utf8"
)

// A plain is a copy of a text in which personal data is looked for, with a map
// back to the text: full-width forms are ASCII, invisible characters are gone,
// and numbers written in Chinese digits (一三八〇〇…, 幺三八…) are digits.
type plain struct {
	text string
	at   []int // for every byte of text, and its end, the byte of the original
}

// spokenDigits is how many Chinese digits in a row are a number and no words.
const spokenDigits = 7

func newPlain(s string) plain {
	var b strings.Builder
	at := make([]int, 0, len(s)+1)
	put := func(r rune, from int) {
		n, _ := b.WriteRune(r)
		for range n {
			at = append(at, from)
		}
	}
	spoken := spokenRuns(s)
	for i, r := range s {
		switch {
		case isInvisible(r) || r == '\u200c' || r == '\u200d':
			continue
		case r >= '！' && r <= '～':
			r -= '！' - '!'
		case r == '\u3000' || r == '\u00a0':
			r = ' '
		case strings.ContainsRune("‐‑‒–—―−", r):
			r = '-'
		case spoken[i]:
			d, _ := chineseDigit(r)
			r = d
		}
		put(r, i)
	}
	return plain{b.String(), append(at, len(s))}
}

// original returns the byte of the original at byte i of the copy.
func (p plain) original(i int) int { return p.at[i] }

// spokenRuns returns the bytes at which a Chinese digit is part of a number.
func spokenRuns(s string) map[int]bool {
	var run []int
	spoken := make(map[int]bool)
	flush := func() {
		if len(run) >= spokenDigits {
			for _, i := range run {
				spoken[i] = true
			}
		}
		run = run[:0]
	}
	for i, r := range s {
		if _, ok := chineseDigit(r); ok {
			run = append(run, i)
		} else if r != ' ' && r != '-' {
			flush()
		}
	}
	flush()
	return spoken
}

func chineseDigit(r rune) (digit rune, ok bool) {
	for i, digits := range []string{"零〇", "一幺壹", "二贰", "三叁", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖"} {
		if strings.ContainsRune(digits, r) {
			return '0' + rune(i), true
		}
	}
	return 0, false
}

// A number is a row of digits with at most one space or hyphen between two of
// them, and no letter or digit before or after it.
type number struct {
	from, to int
	digits   string
	groups   []int // lengths of the groups between separators
}

// numbers returns the numbers in p that a test of start and end accepts: every
// one that begins where a group of digits begins and ends where one ends. Look-
// around is done here, since RE2 has none: without it, half of all long order
// numbers would hold something that looks like a mobile number.
func (p plain) numbers(accept func(number) bool) []number {
	s := p.text
	var found []number
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) || i > 0 && isDigit(s[i-1]) {
			continue
		}
		if n, ok := p.numberAt(i, accept); ok {
			found = append(found, n)
			i = n.to - 1
		}
	}
	return found
}

// maxDigits is more than any number that is looked for has.
const maxDigits = 24

// numberAt returns the longest number that begins at i and is accepted.
func (p plain) numberAt(i int, accept func(number) bool) (best number, ok bool) {
	s := p.text
	n := number{from: i}
	for at := i; at < len(s) && len(n.digits) <= maxDigits; {
		from := at
		for at < len(s) && isDigit(s[at]) {
			at++
		}
		if at == from {
			break
		}
		n.digits += s[from:at]
		n.groups = append(n.groups, at-from)
		n.to = at
		if n.to < len(s) && (s[n.to] == 'x' || s[n.to] == 'X') && len(n.digits) == 17 { // check character of a resident id
			n.to++
			n.digits += "X"
		}
		if p.stands(n.from, n.to) && accept(n) {
			best, ok = n, true
			best.groups = append([]int(nil), n.groups...)
		}
		if n.to != at || at+1 >= len(s) || s[at] != ' ' && s[at] != '-' {
			break
		}
		at++
	}
	return best, ok
}

// stands reports whether text from..to is not part of a longer word or number.
// A decimal point, or a hyphen between digits, goes on.
func (p plain) stands(from, to int) bool {
	s := p.text
	if from > 0 && isWord(s[from-1]) && !p.labelEnds(from) {
		return false
	}
	if from > 1 && (s[from-1] == '-' || s[from-1] == '.') && isDigit(s[from-2]) {
		return false
	}
	if to < len(s) && isWord(s[to]) {
		return false
	}
	return to+1 >= len(s) || s[to] != '.' || !isDigit(s[to+1])
}

// labelEnds reports whether the letters before byte i are a word that announces
// a number, as in "tel13800138000".
func (p plain) labelEnds(i int) bool {
	from := i
	for from > 0 && isWord(p.text[from-1]) {
		from--
	}
	switch strings.ToLower(p.text[from:i]) {
	case "tel", "phone", "mobile", "mob", "cell", "call", "no", "id", "card", "wx", "vx", "sfz":
		return true
	}
	return false
}

// around returns the text before and after a number, in lower case.
func (p plain) around(from, to, before, after int) string {
	start := max(0, from-before)
	for start > 0 && !utf8.RuneStart(p.text[start]) {
		start--
	}
	end := min(len(p.text), to+after)
	for end < len(p.text) && !utf8.RuneStart(p.text[end]) {
		end++
	}
	return strings.ToLower(p.text[start:from] + " " + p.text[to:end])
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

func isWord(b byte) bool {
	return isDigit(b) || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b == '_'
}
