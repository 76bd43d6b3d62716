package clean

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"github.com/glmflow/glmflow/schemas"
)

// repairUnicode mends the characters of every turn and keeps their form but for
// full-width digits and letters. A dialogue whose answers lost characters for
// good is dropped.
func repairUnicode(d *schemas.Dialogue) outcome {
	var out outcome
	for i := range d.Turns {
		t := &d.Turns[i]
		if text := repair(t.Content); text != t.Content {
			if !out.edited {
				d.Turns, out.edited = slices.Clone(d.Turns), true
			}
			d.Turns[i].Content = text
		}
		if t := d.Turns[i]; t.Role == schemas.RoleAssistant && strings.Contains(t.Content, "锟斤拷") {
			return drop("an answer was decoded by the wrong character set and cannot be restored")
		}
	}
	for i := range d.Turns {
		if !strings.ContainsRune(d.Turns[i].Content, utf8.RuneError) {
			continue
		}
		if d.Turns[i].Role == schemas.RoleAssistant {
			return drop("an answer has lost characters (U+FFFD)")
		}
		if !out.edited {
			d.Turns, out.edited = slices.Clone(d.Turns), true
		}
		d.Turns[i].Content = strings.ReplaceAll(d.Turns[i].Content, string(utf8.RuneError), "")
	}
	return out
}

// repair mends the characters of one text.
func repair(s string) string {
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	s = unscramble(s)
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u2028", "\n", "\u2029", "\n\n", "\u00a0", " ").Replace(s)
	var b strings.Builder
	before := rune(0)
	for _, r := range s {
		switch {
		case r >= '０' && r <= '９', r >= 'Ａ' && r <= 'Ｚ', r >= 'ａ' && r <= 'ｚ':
			r -= 'Ａ' - 'A'
		case r == '\u200c' || r == '\u200d':
			if !joins(before) {
				continue
			}
		case r == '\n' || r == '\t':
		case unicode.IsControl(r), isInvisible(r):
			continue
		}
		b.WriteRune(r)
		before = r
	}
	return strings.TrimSpace(b.String())
}

// isInvisible reports format characters that say nothing in Chinese or English:
// zero-width spaces, byte order marks, direction marks, soft hyphens.
func isInvisible(r rune) bool {
	switch {
	case r == 0x00AD, r == 0x061C, r == 0xFEFF, r == 0x180E,
		r >= 0x200B && r <= 0x200F, r >= 0x202A && r <= 0x202E, r >= 0x2060 && r <= 0x206F,
		r >= 0xFFF9 && r <= 0xFFFB:
		return true
	}
	return false
}

// joins reports whether a joiner after r means something: within emoji, and in
// scripts whose letters join.
func joins(r rune) bool {
	return unicode.Is(unicode.So, r) || r == 0xFE0F || r >= 0x1F3FB && r <= 0x1F3FF ||
		unicode.In(r, unicode.Arabic, unicode.Devanagari, unicode.Bengali, unicode.Gujarati, unicode.Gurmukhi,
			unicode.Kannada, unicode.Malayalam, unicode.Oriya, unicode.Sinhala, unicode.Tamil, unicode.Telugu)
}

// unscramble restores UTF-8 that was read as Windows-1252 or Latin-1, such as
// "ä½ å¥½" for 你好. Honest text of those character sets is hardly ever
// well-formed UTF-8.
func unscramble(s string) string {
	raw := make([]byte, 0, len(s))
	high := false
	for _, r := range s {
		b := byte(r)
		if r >= 0x80 {
			high = true
			var ok bool
			if b, ok = charmap.Windows1252.EncodeRune(r); !ok {
				if r > 0xFF { // beyond both: it was read rightly
					return s
				}
				b = byte(r)
			}
		}
		raw = append(raw, b)
	}
	if !high || !utf8.Valid(raw) {
		return s
	}
	return string(raw)
}
