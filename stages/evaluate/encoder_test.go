package evaluate

import (
	"slices"

	"github.com/glmflow/glmflow/gpu/chatglm/chat"
	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/schemas"
)

// byteEncoder is a vocabulary of 256 bytes behind the three ids that every
// vocabulary begins with.
type byteEncoder struct{}

func (byteEncoder) Pieces() int    { return 3 + 256 }
func (byteEncoder) Digest() string { return "sha256:bytes" }

func (byteEncoder) Encode(text string) []int32 {
	ids := make([]int32, len(text))
	for i := range len(text) {
		ids[i] = 3 + int32(text[i])
	}
	return ids
}

func (byteEncoder) Decode(ids []int32) string {
	var text []byte
	for _, id := range ids {
		if id >= 3 && id < 3+256 {
			text = append(text, byte(id-3))
		}
	}
	return string(text)
}

func (byteEncoder) Stream() *tokenizer.Stream { panic("answers are decoded whole") }

// tokenRow encodes a conversation: user and assistant in turn.
func tokenRow(id, lang string, turns ...string) schemas.TokenRow {
	msgs := make([]chat.Message, len(turns))
	for i, text := range turns {
		msgs[i] = chat.Message{Role: []string{chat.User, chat.Assistant}[i%2], Content: text}
	}
	ids, labels, _, err := chat.Encode(byteEncoder{}, msgs, "", chat.Options{})
	if err != nil {
		panic(err)
	}
	row := schemas.TokenRow{ID: id, IDs: ids, Labels: labels, Lang: lang}
	row.Targets = int32(targetsOf(row))
	return row
}

var _ tokenizer.Encoder = byteEncoder{}

// mask turns off the targets of a row from position on.
func mask(row schemas.TokenRow, from int) schemas.TokenRow {
	row.Labels = slices.Clone(row.Labels)
	for i := from; i < len(row.Labels); i++ {
		row.Labels[i] = schemas.IgnoreLabel
	}
	return row
}
