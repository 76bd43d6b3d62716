package clean

import (
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/glmflow/glmflow/schemas"
)

// checkLength drops dialogues with too few or too many turns, with too much
// text, or in which no answer says anything. A short answer among longer ones is
// honest: "有。" may be all there is to say.
func checkLength(c Config) func(*schemas.Dialogue) outcome {
	return func(d *schemas.Dialogue) outcome {
		turns, chars, longest := 0, 0, 0
		for _, t := range d.Turns {
			chars += utf8.RuneCountInString(t.Content)
			if t.Role == schemas.RoleSystem {
				continue
			}
			if turns++; t.Role == schemas.RoleAssistant {
				longest = max(longest, wordCharacters(t.Content))
			}
		}
		switch {
		case turns < c.MinTurns:
			return drop(fmt.Sprintf("%d turns, want at least %d", turns, c.MinTurns))
		case turns > c.MaxTurns:
			return drop(fmt.Sprintf("%d turns, want at most %d", turns, c.MaxTurns))
		case chars > c.MaxChars:
			return drop(fmt.Sprintf("%d characters, want at most %d", chars, c.MaxChars))
		case longest < c.MinAnswer:
			return drop(fmt.Sprintf("the longest answer has %d letters and digits, want at least %d", longest, c.MinAnswer))
		}
		return outcome{}
	}
}

// wordCharacters counts letters and digits.
func wordCharacters(s string) int {
	n := 0
	for _, r := range s {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			n++
		}
	}
	return n
}
