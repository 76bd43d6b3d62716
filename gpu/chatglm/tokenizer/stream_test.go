package tokenizer

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// TestStream: id by id comes the same text as at once, never half a character,
// and ordinary text without delay.
func TestStream(t *testing.T) {
	for name, path := range vocabularies(t) {
		for backend, enc := range encoders(t, path) {
			t.Run(name+"/"+backend, func(t *testing.T) {
				rapid.Check(t, func(t *rapid.T) {
					ids := enc.Encode(awkward().Draw(t, "text"))
					// Bytes that make characters or not, specials, ids of no meaning.
					for _, id := range rapid.SliceOf(rapid.OneOf(rapid.Int32Range(-1, int32(Size(enc.Pieces())+2)), rapid.Int32Range(0, 300))).Draw(t, "ids") {
						at := rapid.IntRange(0, len(ids)).Draw(t, "at")
						ids = append(ids[:at:at], append([]int32{id}, ids[at:]...)...)
					}
					s := enc.Stream()
					var all strings.Builder
					for _, id := range ids {
						text := s.Add(id)
						if !utf8.ValidString(text) {
							t.Fatalf("%v: half a character: %q", ids, text)
						}
						all.WriteString(text)
					}
					all.WriteString(s.End())
					if want := enc.Decode(ids); all.String() != want {
						t.Fatalf("%v: %q, want %q", ids, all.String(), want)
					}
				})
				s := enc.Stream()
				for i, b := range []byte("é👋") { // byte by byte
					want := map[int]string{1: "é", 5: "👋"}[i]
					if got := s.Add(3 + int32(b)); got != want {
						t.Errorf("after byte %d: %q, want %q", i, got, want)
					}
				}
			})
		}
	}
}
