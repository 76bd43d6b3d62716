//go:build hftokenizers && cgo

package tokenizer

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/daulet/tokenizers"
)

// HasHuggingFace reports whether Hugging Face's library is in this build.
const HasHuggingFace = true

// A huggingFace encodes with the Rust library and does everything else in Go:
// the library's decoder treats malformed bytes and leading spaces differently
// from SentencePiece's.
type huggingFace struct {
	*Tokenizer
	rust *tokenizers.Tokenizer
}

// openHuggingFace hands t's vocabulary to the Rust library, without specials, so
// that no text can match one.
func openHuggingFace(t *Tokenizer) (Encoder, error) {
	doc, err := t.hfJSON(false)
	if err != nil {
		return nil, err
	}
	rust, err := tokenizers.FromBytes(doc)
	if err != nil {
		return nil, fmt.Errorf("tokenizers library: %w", err)
	}
	h := &huggingFace{t, rust}
	runtime.AddCleanup(h, func(r *tokenizers.Tokenizer) { r.Close() }, rust)
	return h, nil
}

// Encode implements [Encoder]. A text with a NUL, where C strings end, is left
// to the Go encoder.
func (h *huggingFace) Encode(text string) []int32 {
	if text == "" || strings.IndexByte(text, 0) >= 0 {
		return h.Tokenizer.Encode(text)
	}
	raw, _ := h.rust.Encode(valid(text), false)
	runtime.KeepAlive(h)
	ids := make([]int32, len(raw))
	for i, id := range raw {
		ids[i] = int32(id)
	}
	return ids
}
