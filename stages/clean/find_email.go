package clean

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// findEmails finds addresses around every "@": in front of it the characters of
// an unquoted local part (RFC 5322), behind it a domain of at least two labels,
// in any case, whose labels may be international (IDN).
func findEmails(p plain) []finding {
	var found []finding
	s := p.text
	for i := 0; i < len(s); i++ {
		if s[i] != '@' {
			continue
		}
		from := i
		for from > 0 && (isWord(s[from-1]) || strings.IndexByte(".+-%'&=~", s[from-1]) >= 0) {
			from--
		}
		for from < i && !isWord(s[from]) {
			from++
		}
		to := domainEnd(s, i+1)
		if from == i || s[i-1] == '.' || to == 0 {
			continue
		}
		found = append(found, finding{kindEmail, from, to, strings.ToLower(s[from:to])})
		i = to - 1
	}
	return found
}

// domainEnd returns where the domain that begins at byte i of s ends, 0 if there
// is none. Chinese text goes on without a space, so a top-level domain in Latin
// letters ends with them, and one in Chinese is one of a few.
func domainEnd(s string, i int) int {
	end := 0
	for labels := 0; ; labels++ {
		from := i
		ascii := true
		for i < len(s) {
			r, n := utf8.DecodeRuneInString(s[i:])
			if !(r == '-' && i > from) && !(r < utf8.RuneSelf && unicode.IsLetter(r)) && !unicode.IsDigit(r) && !unicode.Is(unicode.Han, r) {
				break
			}
			ascii = ascii && r < utf8.RuneSelf
			i += n
		}
		if i == from {
			return end
		}
		if labels > 0 {
			end = max(end, topLevelEnd(s[from:i], from))
		}
		if i == len(s) || s[i] != '.' || !ascii && labels > 0 {
			return end
		}
		i++
	}
}

// topLevelEnd returns where a top-level domain that label, at byte from, begins
// with ends, 0 if it begins with none.
func topLevelEnd(label string, from int) int {
	n := 0
	for n < len(label) && (label[n] >= 'a' && label[n] <= 'z' || label[n] >= 'A' && label[n] <= 'Z') {
		n++
	}
	if n >= 2 && (n == len(label) || label[n] >= utf8.RuneSelf) {
		return from + n
	}
	for _, top := range []string{"中国", "公司", "网络", "香港", "在线", "中文网"} {
		if strings.HasPrefix(label, top) {
			return from + len(top)
		}
	}
	return 0
}
