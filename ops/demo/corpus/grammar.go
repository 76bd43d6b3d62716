package corpus

import (
	"math/rand/v2"
	"strings"
)

// expand writes one sentence of a template: [a|b|c] becomes one of its
// alternatives (which may nest and may be empty), {name} the value of a slot.
// A slot keeps its value through a conversation.
func expand(r *rand.Rand, template string, slots map[string]string) string {
	var b strings.Builder
	expandInto(&b, r, template, slots)
	return strings.Join(strings.Fields(b.String()), " ")
}

func expandInto(b *strings.Builder, r *rand.Rand, t string, slots map[string]string) {
	for len(t) > 0 {
		i := strings.IndexAny(t, "[{")
		if i < 0 {
			b.WriteString(t)
			return
		}
		b.WriteString(t[:i])
		if t[i] == '{' {
			end := i + strings.IndexByte(t[i:], '}')
			name := t[i+1 : end]
			value, ok := slots[name]
			if !ok {
				panic("corpus: template names an unknown slot {" + name + "}")
			}
			b.WriteString(value)
			t = t[end+1:]
			continue
		}
		alternatives, rest := splitAlternatives(t[i+1:])
		expandInto(b, r, alternatives[r.IntN(len(alternatives))], slots)
		t = rest
	}
}

// splitAlternatives reads "a|b[c|d]|e]rest" up to its closing bracket.
func splitAlternatives(t string) (alternatives []string, rest string) {
	depth, start := 0, 0
	for i := 0; i < len(t); i++ {
		switch t[i] {
		case '[':
			depth++
		case '|':
			if depth == 0 {
				alternatives = append(alternatives, t[start:i])
				start = i + 1
			}
		case ']':
			if depth == 0 {
				return append(alternatives, t[start:i]), t[i+1:]
			}
			depth--
		}
	}
	panic("corpus: unclosed [ in a template")
}

// pick returns one of list.
func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }
