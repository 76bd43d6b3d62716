//go:build hftokenizers && cgo

package tokenizer

import (
	"slices"
	"testing"

	"github.com/daulet/tokenizers"
)

// TestHFJSON reads the tokenizer.json that others get, with its specials, by the
// library itself.
func TestHFJSON(t *testing.T) {
	for name, path := range vocabularies(t) {
		t.Run(name, func(t *testing.T) {
			tok, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := tok.HFJSON()
			if err != nil {
				t.Fatal(err)
			}
			lib, err := tokenizers.FromBytes(doc)
			if err != nil {
				t.Fatal(err)
			}
			defer lib.Close()
			if got := int(lib.VocabSize()); got != Size(tok.Pieces()) {
				t.Errorf("the library counts %d ids, want %d", got, Size(tok.Pieces()))
			}
			s := SpecialsOf(tok.Pieces())
			encode := func(text string, template bool) (ids []int32) {
				raw, _ := lib.Encode(text, template)
				for _, id := range raw {
					ids = append(ids, int32(id))
				}
				return ids
			}
			for _, text := range []string{"Hello, 退款 philosophy of people", " two  spaces", "line\nbreak 👋"} {
				want := tok.Encode(text)
				if got := encode(text, false); !slices.Equal(got, want) {
					t.Errorf("%q: %v, want %v", text, got, want)
				}
				if got := encode(text, true); !slices.Equal(got, append([]int32{s.GMask, s.Sop}, want...)) {
					t.Errorf("%q with its template: %v", text, got)
				}
				raw, _ := lib.Encode(text, false)
				if got := lib.Decode(raw, false); got != text {
					t.Errorf("the library decodes %q as %q", text, got)
				}
			}
			if got := encode("<|user|>", false); !slices.Equal(got, []int32{s.User}) {
				t.Errorf("the exported file must know the specials; <|user|> gave %v", got)
			}
		})
	}
}
