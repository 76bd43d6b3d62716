package tokenizer

import "testing"

// TestRows: ChatGLM3's 64,789 pieces and nine specials get the 65,024 rows of the
// original, and no vocabulary fewer than it has ids.
func TestRows(t *testing.T) {
	for pieces, want := range map[int]int{1: 512, 503: 512, 504: 1024, 64789: 65024} {
		if got := Rows(pieces); got != want || got < Size(pieces) {
			t.Errorf("%d pieces, %d ids: %d rows, want %d", pieces, Size(pieces), got, want)
		}
	}
}
