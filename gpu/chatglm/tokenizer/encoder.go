package tokenizer

import (
	"errors"
	"fmt"
)

// An Encoder turns text into ids and back. It is safe for concurrent use.
type Encoder interface {
	// Encode returns the ids of text, none for the empty text. No special id,
	// no id 0 and no end token ever comes out. Bytes that are not UTF-8 count
	// as U+FFFD, one each.
	Encode(text string) []int32

	// Decode is the inverse, up to U+2581 coming back as a space: any ids are
	// allowed. The nine specials come out as their names, control and unknown
	// ids as nothing; every stretch between specials loses the one leading
	// space that Encode put there.
	Decode(ids []int32) string

	// Stream is Decode for ids that come one after the other.
	Stream() *Stream

	// Pieces is the number of pieces in the vocabulary, which is the id of the
	// first special (see [SpecialsOf]).
	Pieces() int

	// Digest names the vocabulary: "sha256:<hex>" of the tokenizer.model file.
	Digest() string
}

// Backends of [Open].
const (
	Auto        = "auto" // HuggingFace where it is compiled in and can hold the vocabulary, otherwise Go
	Go          = "go"   // the plain-Go encoder
	HuggingFace = "hf"   // daulet/tokenizers, under the build tag hftokenizers
)

// Open loads the vocabulary at path (a tokenizer.model file or a directory that
// holds one) into the encoder that backend names.
func Open(path, backend string) (Encoder, error) {
	t, err := Load(path)
	if err != nil {
		return nil, err
	}
	switch {
	case backend == Go, backend == Auto && !HasHuggingFace:
		return t, nil
	case backend == HuggingFace && !HasHuggingFace:
		return nil, fmt.Errorf("tokenizer backend %q is not in this build: build with -tags hftokenizers, or use %q", backend, Go)
	case backend == HuggingFace, backend == Auto:
		enc, err := openHuggingFace(t)
		if backend == Auto && errors.Is(err, ErrNotMerges) {
			return t, nil
		}
		return enc, err
	}
	return nil, fmt.Errorf("tokenizer backend %q is unknown: use %q, %q or %q", backend, Auto, Go, HuggingFace)
}
