package evaluate

import (
	"slices"
	"testing"

	"github.com/glmflow/glmflow/schemas"
)

// FuzzParseRule: what is read as a rule comes back from its own text.
func FuzzParseRule(f *testing.F) {
	for _, seed := range []string{"loss interval_below 0", "bleu-4[zh] candidate_above 1e-3", "loss[ x 1", "a b c", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rule, err := ParseRule(text)
		if err != nil {
			return
		}
		if again, err := ParseRule(rule.String()); err != nil || again != rule {
			t.Fatalf("%q is %+v, whose text %q is %+v, %v", text, rule, rule, again, err)
		}
	})
}

// FuzzQuestionOf: any row that checkRow lets through gives a question inside the
// row, or none.
func FuzzQuestionOf(f *testing.F) {
	row := tokenRow("a", "en", "hi", "hello", "bye", "so long")
	seed := make([]byte, len(row.IDs))
	for i, id := range row.IDs {
		seed[i] = byte(id)
	}
	f.Add(seed, seed)
	f.Fuzz(func(t *testing.T, ids, labels []byte) {
		row := schemas.TokenRow{ID: "f"}
		for i := range min(len(ids), len(labels)) {
			row.IDs = append(row.IDs, int32(ids[i])+int32(ids[i]%13)) // reaches the specials
			row.Labels = append(row.Labels, row.IDs[i])
			if labels[i]%2 == 0 {
				row.Labels[i] = schemas.IgnoreLabel
			}
		}
		if checkRow(row, 268) != nil {
			return
		}
		targetsOf(row)
		q, ok := questionOf(row, byteEncoder{})
		if ok && (q.reference == "" || len(q.prompt) >= len(row.IDs) || !slices.Equal(q.prompt, row.IDs[:len(q.prompt)])) {
			t.Fatalf("%+v of %v", q, row.IDs)
		}
	})
}
