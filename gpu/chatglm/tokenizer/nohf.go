//go:build !hftokenizers || !cgo

package tokenizer

import "errors"

// HasHuggingFace reports whether Hugging Face's library is in this build.
const HasHuggingFace = false

func openHuggingFace(*Tokenizer) (Encoder, error) {
	return nil, errors.New("built without the tag hftokenizers")
}
