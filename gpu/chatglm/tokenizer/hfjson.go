package tokenizer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// ErrNotMerges says that a vocabulary cannot be written as a list of merges:
// two scores are equal, or a piece holds a character that is no piece itself, or a plain space.
var ErrNotMerges = errors.New("the vocabulary is no list of merges")

// HFJSON writes the vocabulary as a tokenizer.json of Hugging Face's tokenizers
// library that gives the same ids. Its added tokens are the nine specials; of
// these sop and eop match whole words only, and whoever encodes other people's
// text must switch the matching of added tokens off altogether, as [Open] does.
func (t *Tokenizer) HFJSON() ([]byte, error) { return t.hfJSON(true) }

// hfJSON leaves the specials and the template out unless asked for them.
func (t *Tokenizer) hfJSON(specials bool) ([]byte, error) {
	merges, err := t.mergeList()
	if err != nil {
		return nil, err
	}
	vocab := make(map[string]int32, len(t.pieces)) // encoding/json sorts the keys
	for id, p := range t.pieces {
		vocab[p.text] = int32(id)
	}
	doc := hfDoc{
		Version:     "1.0",
		AddedTokens: []hfAdded{},
		Normalizer: hfSequence{Type: "Sequence", Normalizers: []any{
			hfPrepend{"Prepend", space},
			hfReplace{"Replace", hfString{" "}, space},
		}},
		Decoder: hfSequence{Type: "Sequence", Decoders: []any{
			hfReplace{"Replace", hfString{space}, " "},
			hfType{"ByteFallback"},
			hfType{"Fuse"},
			hfStrip{"Strip", " ", 1, 0},
		}},
		Model: hfModel{
			Type: "BPE", Unknown: t.pieces[PAD].text, FuseUnknown: true, ByteFallback: true,
			Vocab: vocab, Merges: merges,
		},
	}
	if specials {
		for i, name := range specialNames() {
			doc.AddedTokens = append(doc.AddedTokens, hfAdded{
				ID: int32(len(t.pieces) + i), Content: name, SingleWord: name == "sop" || name == "eop", Special: true,
			})
		}
		doc.PostProcessor = t.hfTemplate()
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	return out.Bytes(), nil
}

// mergeList lists every split of every piece into two pieces: pieces by falling
// score, splits by their ids.
func (t *Tokenizer) mergeList() ([]string, error) {
	byScore := make([]int32, 0, len(t.merges))
	for id, p := range t.pieces {
		if p.kind == normal && utf8.RuneCountInString(p.text) > 1 {
			byScore = append(byScore, int32(id))
		}
	}
	slices.SortStableFunc(byScore, func(a, b int32) int { return cmp.Compare(t.pieces[b].score, t.pieces[a].score) })

	type split struct{ left, right int32 }
	var merges []string
	for i, id := range byScore {
		p := t.pieces[id]
		if i > 0 && t.pieces[byScore[i-1]].score == p.score {
			return nil, fmt.Errorf("%w: %q and %q have the same score", ErrNotMerges, t.pieces[byScore[i-1]].text, p.text)
		}
		var splits []split
		for at, r := range p.text {
			if _, ok := t.merges[string(r)]; !ok || r == ' ' {
				return nil, fmt.Errorf("%w: %q is a piece and its %q cannot be one", ErrNotMerges, p.text, r)
			}
			left, okLeft := t.merges[p.text[:at]]
			right, okRight := t.merges[p.text[at:]]
			if okLeft && okRight {
				splits = append(splits, split{left, right})
			}
		}
		slices.SortFunc(splits, func(a, b split) int {
			return cmp.Or(cmp.Compare(a.left, b.left), cmp.Compare(a.right, b.right))
		})
		for _, s := range splits {
			merges = append(merges, t.pieces[s.left].text+" "+t.pieces[s.right].text)
		}
	}
	return merges, nil
}

// hfTemplate puts [gMASK] sop before a text, and the end token after a pair.
func (t *Tokenizer) hfTemplate() any {
	s := SpecialsOf(len(t.pieces))
	token := func(name string) any {
		return map[string]any{"SpecialToken": map[string]any{"id": name, "type_id": 0}}
	}
	text := func(name string) any {
		return map[string]any{"Sequence": map[string]any{"id": name, "type_id": 0}}
	}
	entry := func(name string, id int32) any {
		return map[string]any{"id": name, "ids": []int32{id}, "tokens": []string{name}}
	}
	end := t.pieces[EOS].text
	return map[string]any{
		"type":   "TemplateProcessing",
		"single": []any{token("[gMASK]"), token("sop"), text("A")},
		"pair":   []any{token("[gMASK]"), token("sop"), text("A"), text("B"), token(end)},
		"special_tokens": map[string]any{
			"[gMASK]": entry("[gMASK]", s.GMask), "sop": entry("sop", s.Sop), end: entry(end, EOS),
		},
	}
}

// The types below are the parts of a tokenizer.json, in the library's order.
type (
	hfDoc struct {
		Version       string    `json:"version"`
		Truncation    any       `json:"truncation"`
		Padding       any       `json:"padding"`
		AddedTokens   []hfAdded `json:"added_tokens"`
		Normalizer    any       `json:"normalizer"`
		PreTokenizer  any       `json:"pre_tokenizer"`
		PostProcessor any       `json:"post_processor"`
		Decoder       any       `json:"decoder"`
		Model         hfModel   `json:"model"`
	}
	hfAdded struct {
		ID         int32  `json:"id"`
		Content    string `json:"content"`
		SingleWord bool   `json:"single_word"`
		LStrip     bool   `json:"lstrip"`
		RStrip     bool   `json:"rstrip"`
		Normalized bool   `json:"normalized"`
		Special    bool   `json:"special"`
	}
	hfSequence struct {
		Type        string `json:"type"`
		Normalizers []any  `json:"normalizers,omitempty"`
		Decoders    []any  `json:"decoders,omitempty"`
	}
	hfType struct {
		Type string `json:"type"`
	}
	hfPrepend struct {
		Type    string `json:"type"`
		Prepend string `json:"prepend"`
	}
	hfReplace struct {
		Type    string   `json:"type"`
		Pattern hfString `json:"pattern"`
		Content string   `json:"content"`
	}
	hfString struct{ String string }
	hfStrip  struct {
		Type    string `json:"type"`
		Content string `json:"content"`
		Start   int    `json:"start"`
		Stop    int    `json:"stop"`
	}
	hfModel struct {
		Type         string           `json:"type"`
		Dropout      any              `json:"dropout"`
		Unknown      string           `json:"unk_token"`
		Prefix       any              `json:"continuing_subword_prefix"`
		Suffix       any              `json:"end_of_word_suffix"`
		FuseUnknown  bool             `json:"fuse_unk"`
		ByteFallback bool             `json:"byte_fallback"`
		IgnoreMerges bool             `json:"ignore_merges"`
		Vocab        map[string]int32 `json:"vocab"`
		Merges       []string         `json:"merges"`
	}
)
