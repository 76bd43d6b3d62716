package evaluate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/gpu/chatglm/chat"
	"github.com/glmflow/glmflow/schemas"
)

func TestQuestionOf(t *testing.T) {
	enc := byteEncoder{}
	prompt := func(turns ...string) []int32 {
		msgs := make([]chat.Message, len(turns))
		for i, text := range turns {
			msgs[i] = chat.Message{Role: []string{chat.User, chat.Assistant}[i%2], Content: text}
		}
		ids, err := chat.Prompt(enc, msgs, "")
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}

	q, ok := questionOf(tokenRow("a", "en", "hi", "hello", "where is\nmy parcel?", "on its way"), enc)
	if !ok || q.asked != "where is\nmy parcel?" || q.reference != "on its way" || q.lang != "en" || q.id != "a" {
		t.Errorf("last answer: %+v, %v", q, ok)
	}
	if diff := cmp.Diff(prompt("hi", "hello", "where is\nmy parcel?"), q.prompt); diff != "" {
		t.Errorf("prompt (-want +got)\n%s", diff)
	}

	// Where the last answer is not to be learned, the one before it is asked for.
	whole := tokenRow("b", "zh", "一", "二", "三", "四")
	first := slices.Index(whole.IDs[5:], whole.IDs[2]) + 5 // the second <|user|>
	q, ok = questionOf(mask(whole, first+1), enc)
	if !ok || q.asked != "一" || q.reference != "二" {
		t.Errorf("earlier answer: %+v, %v", q, ok)
	}

	for name, row := range map[string]schemas.TokenRow{
		"no targets":   mask(whole, 0),
		"empty answer": tokenRow("c", "en", "hi", " "),
		"one id":       {ID: "d", IDs: []int32{5}, Labels: []int32{5}},
		"nothing":      {ID: "e"},
	} {
		if q, ok := questionOf(row, enc); ok {
			t.Errorf("%s asks %+v", name, q)
		}
	}
}

// TestPicker holds the sample to its promises: its size, that order plays no
// part, and that a larger sample holds the smaller one.
func TestPicker(t *testing.T) {
	var rows []schemas.TokenRow
	for i := range 200 {
		rows = append(rows, tokenRow(fmt.Sprint(i), "en", "q", "a"))
	}
	pick := func(n int, seed uint64) []string {
		p := picker{n: n, seed: seed}
		for _, row := range rows {
			p.offer(row, byteEncoder{}, 100)
		}
		var ids []string
		for _, q := range p.questions() {
			ids = append(ids, q.id)
		}
		return ids
	}
	ten := pick(10, 1)
	if len(ten) != 10 {
		t.Fatalf("picked %d", len(ten))
	}
	if diff := cmp.Diff(ten, pick(50, 1)[:10]); diff != "" {
		t.Errorf("the first of 50 (-10 +50)\n%s", diff)
	}
	if other := pick(10, 2); cmp.Equal(ten, other) {
		t.Error("another seed picks the same")
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	if diff := cmp.Diff(ten, pick(10, 1)); diff != "" {
		t.Errorf("another order (-want +got)\n%s", diff)
	}
	short := picker{n: 1}
	short.offer(rows[0], byteEncoder{}, 5)
	if len(short.kept) != 0 {
		t.Error("a question is asked that has no room")
	}
	if none := pick(0, 1); len(none) != 0 {
		t.Errorf("picked %q where none were wanted", none)
	}
	if all := pick(500, 1); len(all) != 200 {
		t.Errorf("picked %d of 200", len(all))
	}
}

func TestCheckRow(t *testing.T) {
	good := tokenRow("a", "en", "q", "a")
	if err := checkRow(good, 268); err != nil {
		t.Error(err)
	}
	broken := func(change func(*schemas.TokenRow)) schemas.TokenRow {
		row := good
		row.IDs, row.Labels = slices.Clone(row.IDs), slices.Clone(row.Labels)
		change(&row)
		return row
	}
	for part, row := range map[string]schemas.TokenRow{
		"0 ids and 0 labels":    {ID: "a"},
		"and 1 labels":          broken(func(r *schemas.TokenRow) { r.Labels = r.Labels[:1] }),
		"id 268 and":            broken(func(r *schemas.TokenRow) { r.IDs[3] = 268 }),
		"id -1 and":             broken(func(r *schemas.TokenRow) { r.IDs[3] = -1 }),
		"label 999 at":          broken(func(r *schemas.TokenRow) { r.Labels[3] = 999 }),
		"label -5 at":           broken(func(r *schemas.TokenRow) { r.Labels[3] = -5 }),
		"another tokenizer":     broken(func(r *schemas.TokenRow) { r.IDs[0] = 64790 }),
		`conversation "a" has `: broken(func(r *schemas.TokenRow) { r.IDs = nil }),
	} {
		if err := checkRow(row, 268); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v, want an error with %q", err, part)
		}
	}
}
