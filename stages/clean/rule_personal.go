package clean

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/glmflow/glmflow/schemas"
)

// maskPersonal replaces personal data by numbered tags such as <手机_1> or
// <PHONE_1>, by the language of the dialogue. The same value gets the same tag in
// all turns, so that the conversation stays coherent; tags say nothing beyond
// it. What was masked is counted by kind.
func maskPersonal(counts map[string]int64) func(*schemas.Dialogue) outcome {
	return func(d *schemas.Dialogue) outcome {
		tags := tagsEnglish()
		if d.Lang == langChinese || d.Lang == langMixed {
			tags = tagsChinese()
		}
		m := newMasker(tags)
		var out outcome
		for i := range d.Turns {
			text, found := m.mask(d.Turns[i].Content)
			if len(found) == 0 {
				continue
			}
			if !out.edited {
				d.Turns, out.edited = slices.Clone(d.Turns), true
			}
			d.Turns[i].Content = text
			for _, f := range found {
				counts[f.kind]++
			}
		}
		return out
	}
}

// Kinds of personal data, as counted in the meta.
const (
	kindEmail    = "email"
	kindMobile   = "mobile"
	kindResident = "resident-id"
	kindCard     = "bank-card"
)

func tagsChinese() map[string]string {
	return map[string]string{kindEmail: "邮箱", kindMobile: "手机", kindResident: "身份证", kindCard: "银行卡"}
}

func tagsEnglish() map[string]string {
	return map[string]string{kindEmail: "EMAIL", kindMobile: "PHONE", kindResident: "ID", kindCard: "CARD"}
}

// A finding is a piece of personal data.
type finding struct {
	kind     string
	from, to int    // bytes of the plain copy
	value    string // the same for every spelling
}

// detectors lists what is looked for. Where two findings overlap, the kind that
// stands first wins.
func detectors() []func(plain) []finding {
	return []func(plain) []finding{findEmails, findResidents, findCards, findMobiles}
}

// A masker masks the texts of one dialogue.
type masker struct {
	tags    map[string]string // kind → word of the tag
	numbers map[string]int    // kind and value → number
	last    map[string]int    // kind → the highest number
}

func newMasker(tags map[string]string) *masker {
	return &masker{tags: tags, numbers: make(map[string]int), last: make(map[string]int)}
}

// mask returns text with personal data replaced, and what was found, in order.
func (m *masker) mask(text string) (string, []finding) {
	p := newPlain(text)
	var found []finding
	for _, detect := range detectors() {
		for _, f := range detect(p) {
			if !slices.ContainsFunc(found, func(g finding) bool { return f.from < g.to && g.from < f.to }) {
				found = append(found, f)
			}
		}
	}
	if len(found) == 0 {
		return text, nil
	}
	slices.SortFunc(found, func(a, b finding) int { return cmp.Compare(a.from, b.from) })
	var b strings.Builder
	at := 0
	for _, f := range found {
		from, to := p.original(f.from), p.original(f.to)
		b.WriteString(text[at:from])
		b.WriteString(m.tag(f))
		at = to
	}
	b.WriteString(text[at:])
	return b.String(), found
}

func (m *masker) tag(f finding) string {
	id := f.kind + " " + f.value
	n, ok := m.numbers[id]
	if !ok {
		m.last[f.kind]++
		n = m.last[f.kind]
		m.numbers[id] = n
	}
	return fmt.Sprintf("<%s_%d>", m.tags[f.kind], n)
}
