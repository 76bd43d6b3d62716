package evaluate

import (
	"cmp"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/glmflow/glmflow/gpu/chatglm/chat"
	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/schemas"
)

// A question is a conversation up to its last answer, which both models write
// anew.
type question struct {
	id, lang  string
	prompt    []int32 // ends with <|assistant|>
	asked     string  // the message before the answer
	reference string
	answers   [2]string
}

// questionOf finds the last answer of a conversation: what follows the last
// <|assistant|> whose next token is a target. Conversations without one, and
// those whose last answer is empty, ask nothing.
func questionOf(row schemas.TokenRow, enc tokenizer.Encoder) (question, bool) {
	special := tokenizer.SpecialsOf(enc.Pieces())
	roles := []int32{special.System, special.User, special.Assistant, special.Observation}

	at := len(row.IDs) - 2
	for at >= 0 && (row.IDs[at] != special.Assistant || row.Labels[at+1] < 0) {
		at--
	}
	if at < 0 {
		return question{}, false
	}
	end := at + 1
	for end < len(row.IDs) && row.IDs[end] != tokenizer.EOS && !slices.Contains(roles, row.IDs[end]) {
		end++
	}
	before := at
	for before > 0 && !slices.Contains(roles, row.IDs[before-1]) {
		before--
	}
	q := question{id: row.ID, lang: row.Lang, prompt: row.IDs[: at+1 : at+1]}
	_, q.asked = chat.ParseReply(enc.Decode(row.IDs[before:at]))
	_, q.reference = chat.ParseReply(enc.Decode(row.IDs[at+1 : end]))
	return q, q.reference != ""
}

// A picker keeps the questions whose keyed hash is least: a random sample that
// does not depend on the order or the number of the others.
type picker struct {
	n    int
	seed uint64
	kept []picked
}

type picked struct {
	key uint64
	question
}

// offer considers a row. A question longer than longest tokens is not asked.
func (p *picker) offer(row schemas.TokenRow, enc tokenizer.Encoder, longest int) {
	if p.n == 0 {
		return
	}
	h := xxhash.NewWithSeed(p.seed)
	h.WriteString(row.ID)
	key := h.Sum64()
	if len(p.kept) >= p.n && key > p.kept[p.n-1].key {
		return
	}
	q, ok := questionOf(row, enc)
	if !ok || len(q.prompt) > longest {
		return
	}
	entry := picked{key, q}
	at, _ := slices.BinarySearchFunc(p.kept, entry, func(a, b picked) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.id, b.id))
	})
	p.kept = slices.Insert(p.kept, at, entry)
	p.kept = p.kept[:min(len(p.kept), p.n)]
}

// questions are the picked ones, least hash first.
func (p *picker) questions() []question {
	qs := make([]question, len(p.kept))
	for i, k := range p.kept {
		qs[i] = k.question
	}
	return qs
}
