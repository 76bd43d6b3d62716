package tokenizer

// Ids that have the same meaning in every vocabulary.
const (
	PAD int32 = 0 // also the unknown piece, which Encode never returns
	BOS int32 = 1 // in the vocabulary, never used by ChatGLM3
	EOS int32 = 2 // the end of a conversation
)

// Special holds the ids of ChatGLM3's special tokens. They stand behind the last
// piece: 64789 to 64797 in the real vocabulary, elsewhere in another one.
type Special struct {
	Mask, GMask, SMask, Sop, Eop         int32
	System, User, Assistant, Observation int32
}

// specialNames are the texts of the specials in the order of their ids.
func specialNames() [9]string {
	return [...]string{
		"[MASK]", "[gMASK]", "[sMASK]", "sop", "eop",
		"<|system|>", "<|user|>", "<|assistant|>", "<|observation|>",
	}
}

// SpecialsOf returns the special ids of a vocabulary with that many pieces.
func SpecialsOf(pieces int) Special {
	n := int32(pieces)
	return Special{
		Mask: n, GMask: n + 1, SMask: n + 2, Sop: n + 3, Eop: n + 4,
		System: n + 5, User: n + 6, Assistant: n + 7, Observation: n + 8,
	}
}

// Size is the number of ids in use: the pieces and the nine specials. A model's
// embedding has at least so many rows.
func Size(pieces int) int { return pieces + len(specialNames()) }

// Rows is how many rows a model's embedding gets: [Size], rounded up to a multiple
// of 512 as in the original, which has 65,024 for ChatGLM3's 64,798 ids.
func Rows(pieces int) int {
	const multiple = 512
	return (Size(pieces) + multiple - 1) / multiple * multiple
}

// Stops returns the ids that end an answer: the end token, and the roles that
// speak next.
func (s Special) Stops() []int32 { return []int32{EOS, s.User, s.Observation} }
