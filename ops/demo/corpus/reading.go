package corpus

import (
	"math/rand/v2"
	"strings"
)

// A reading exercise lets a base model meet the words and the phrases of the
// language of shops, as any real one has on the web, in no order that would tell
// which answer belongs to which question: it repeats clauses drawn at random, or
// says some.
func reading(r *rand.Rand, s *shop) []Message {
	n := 1 + r.IntN(4)
	text := clauses(r, s, n)
	l := line{"[请跟我读：|重复一遍：|照着说：]" + text, text}
	if s.lang == "en" {
		l = line{"[Repeat after me: |Say this: |Please read: ]" + text, text}
	}
	if r.IntN(3) > 0 {
		l.ask = "[随便说几句|接着说|再说点什么]"
		if s.lang == "en" {
			l.ask = "[Say something|Go on|Tell me more]"
		}
	}
	return []Message{
		{Role: "user", Content: expand(r, l.ask, nil)},
		{Role: "assistant", Content: expand(r, l.answer, nil)},
	}
}

// clauses draws n clauses, each from another place.
func clauses(r *rand.Rand, s *shop, n int) string {
	var out []string
	for len(out) < n {
		t := pick(r, s.topics)
		l := pick(r, append(append([]line{}, t.open...), t.follow...))
		template := l.answer
		if r.IntN(3) == 0 {
			template = l.ask
		}
		parts := strings.FieldsFunc(expand(r, template, s.slots(r)), func(c rune) bool { return strings.ContainsRune("，。！？；,.!?;", c) })
		if len(parts) > 0 {
			out = append(out, strings.TrimSpace(pick(r, parts)))
		}
	}
	if s.lang == "en" {
		return strings.Join(out, ", ") + "."
	}
	return strings.Join(out, "，") + "。"
}
