package corpus

import (
	"fmt"
	"math/rand/v2"
)

// A line is one exchange: what the customer says and what the desk answers.
type line struct{ ask, answer string }

// A topic is something customers write about: how it opens, what may follow.
type topic struct {
	name   string
	open   []line // one of these begins the conversation
	follow []line // zero to three of these go on, each at most once
}

// A shop is one language's side of the desk.
type shop struct {
	lang      string
	topics    []topic
	small     []line // fits into any conversation
	close     []line
	products  []string
	places    []string
	carriers  []string
	faults    []string
	people    []string
	colours   []string
	hello     string // how a desk answer may begin
	duration  []string
	platforms []string
}

// slots draws the values of one conversation.
func (s *shop) slots(r *rand.Rand) map[string]string {
	month, day := 1+r.IntN(12), 1+r.IntN(28)
	date := fmt.Sprintf("%d月%d日", month, day)
	if s.lang == "en" {
		date = fmt.Sprintf("%s %d", [...]string{"January", "February", "March", "April", "May", "June", "July",
			"August", "September", "October", "November", "December"}[month-1], day)
	}
	return map[string]string{
		"product":  pick(r, s.products),
		"other":    pick(r, s.products),
		"place":    pick(r, s.places),
		"place2":   pick(r, s.places),
		"carrier":  pick(r, s.carriers),
		"fault":    pick(r, s.faults),
		"person":   pick(r, s.people),
		"colour":   pick(r, s.colours),
		"colour2":  pick(r, s.colours),
		"duration": pick(r, s.duration),
		"platform": pick(r, s.platforms),
		"order":    fmt.Sprintf("%c%06d", "SYHK"[r.IntN(4)], r.IntN(1_000_000)),
		"date":     date,
		"hour":     fmt.Sprint(8 + r.IntN(13)),
		"amount":   fmt.Sprint(19 + r.IntN(780)),
		"less":     fmt.Sprint(5 + r.IntN(40)),
		"count":    fmt.Sprint(2 + r.IntN(5)),
	}
}

// conversation writes an honest conversation: messages of alternating roles,
// the customer first, and its topic's name.
func (s *shop) conversation(r *rand.Rand) (messages []Message, name string) {
	t := pick(r, s.topics)
	slots := s.slots(r)
	lines := []line{pick(r, t.open)}
	follow := r.Perm(len(t.follow))[:min(r.IntN(4), len(t.follow))]
	for _, i := range follow {
		lines = append(lines, t.follow[i])
	}
	if r.IntN(3) == 0 {
		lines = append(lines, pick(r, s.small))
	}
	if r.IntN(2) == 0 {
		lines = append(lines, pick(r, s.close))
	}
	for i, l := range lines {
		answer := l.answer
		if i == 0 {
			answer = s.hello + answer
		}
		messages = append(messages,
			Message{Role: "user", Content: expand(r, l.ask, slots)},
			Message{Role: "assistant", Content: expand(r, answer, slots)})
	}
	return messages, t.name
}
