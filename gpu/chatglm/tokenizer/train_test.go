package tokenizer

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// shop yields n lines of a bilingual shop's talk.
func shop(n int) iter.Seq[string] {
	lines := []string{
		"您好，请问订单%d什么时候可以发货？", "退款已经处理，预计%d天到账。", "我想换一个颜色，地址没有变。",
		"Hello, my order %d has not arrived yet.", "We are sorry, the refund takes %d days.", "please check the address  again",
		"好的👋，谢谢您的耐心等待", "Thanks for waiting!\nAnything else?",
	}
	return func(yield func(string) bool) {
		rng := rand.New(rand.NewPCG(1, 2))
		for range n {
			line := lines[rng.IntN(len(lines))]
			if strings.Contains(line, "%d") {
				line = fmt.Sprintf(line, rng.IntN(10000))
			}
			if !yield(line) {
				return
			}
		}
	}
}

func trained(t testing.TB) []byte {
	t.Helper()
	model, err := Train(shop(500), 480)
	if err != nil {
		t.Fatal(err)
	}
	return model
}

func TestTrain(t *testing.T) {
	model := trained(t)
	if !bytes.Equal(model, trained(t)) {
		t.Error("two trainings on the same text differ")
	}
	tok, err := Parse(model)
	if err != nil {
		t.Fatal(err)
	}
	if tok.Pieces() != 480 {
		t.Errorf("%d pieces, want 480", tok.Pieces())
	}
	if _, err := tok.HFJSON(); err != nil {
		t.Errorf("every trained vocabulary must be a list of merges: %v", err)
	}
	score := float32(1)
	for id, p := range tok.pieces {
		if p.kind != normal {
			continue
		}
		if p.score >= score {
			t.Errorf("piece %d: score %v does not fall", id, p.score)
		}
		score = p.score
		if n := utf8.RuneCountInString(p.text); n > maxRunes {
			t.Errorf("piece %d: %q has %d characters", id, p.text, n)
		} else if n > 1 && (strings.ContainsAny(p.text, "0123456789\n") || strings.LastIndex(p.text, "▁") > 0) {
			t.Errorf("piece %d: %q crosses a boundary", id, p.text)
		}
	}
	for _, text := range []string{"▁order", "订单", "▁refund"} {
		if _, ok := tok.merges[text]; !ok {
			t.Errorf("%q is no piece", text)
		}
	}
	if ids := tok.Encode("my order"); len(ids) > 2 {
		t.Errorf("frequent words take %d ids, want one each", len(ids))
	}
}

func TestTrainSmall(t *testing.T) {
	tests := []struct {
		name  string
		texts []string
		size  int
		want  string // piece texts behind the bytes, or part of the error
		err   bool
	}{
		{"no text", nil, 400, "no text", true},
		{"blank", []string{"", "\n"}, 400, "no text", true},
		{"too small", []string{"abc"}, 262, "ask for 263", true},
		{"too large", []string{"abc"}, 1 << 30, "more than", true},
		{"characters only", []string{"aab"}, 262, "a b ▁", false},
		{"all there is", []string{"ab ab"}, 400, "ab ▁ab a b ▁", false},
		{"overlapping", []string{"aaaa"}, 400, "aa aaaa ▁aaaa a ▁", false},
		{"digits stay alone", []string{"1212"}, 400, "1 2 ▁", false},
		{"scripts stay apart", []string{"好ok，好ok，"}, 400, "ok ▁好 k o 好 ， ▁", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			model, err := Train(slices.Values(tt.texts), tt.size)
			if tt.err {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want one about %q", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			tok, err := Parse(model)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range tok.pieces[259:] {
				got = append(got, p.text)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("pieces %q, want %q", got, tt.want)
			}
		})
	}
}

// TestRoundTrip writes the real vocabulary anew: what marshal writes is what
// Parse reads.
func TestRoundTrip(t *testing.T) {
	path := filepath.Join(shared, FileName)
	if !fileExists(path) {
		t.Skip("the real vocabulary is not at hand")
	}
	tok, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(marshal(tok.pieces))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(tok.pieces, again.pieces) {
		t.Error("pieces differ")
	}
	if tok.Pieces() != 64789 || Size(tok.Pieces()) != 64798 {
		t.Errorf("%d pieces", tok.Pieces())
	}
	if want := "sha256:e7dc4c393423b76e4373e5157ddc34803a0189ba96b21ddbb40269d31468a6f2"; tok.Digest() != want {
		t.Errorf("digest %s, want %s", tok.Digest(), want)
	}
	merges, err := tok.mergeList()
	if err != nil || len(merges) != 90061 {
		t.Errorf("%d merges, want 90061 (%v)", len(merges), err)
	}
}

func TestParseErrors(t *testing.T) {
	good, err := Parse(trained(t))
	if err != nil {
		t.Fatal(err)
	}
	change := func(fn func([]piece) []piece) []byte { return marshal(fn(slices.Clone(good.pieces))) }
	tests := []struct {
		name  string
		model []byte
		want  string
	}{
		{"empty", nil, "model_type is 1"},
		{"garbage", []byte("{\"model\": 1}"), "not a SentencePiece model"},
		{"truncated", trained(t)[:1000], "not a SentencePiece model"},
		{"no normalizer", trained(t)[:len(trained(t))-18], "remove_extra_whitespaces is 1"},
		{"duplicate", change(func(p []piece) []piece { return append(p, p[300]) }), "occurs twice"},
		{"user defined", change(func(p []piece) []piece { return append(p, piece{"x!", 0, 4}) }), "kind 4"},
		{"a byte short", change(func(p []piece) []piece { return slices.Delete(p, 5, 6) }), "255 byte pieces"},
		{"a byte misspelt", change(func(p []piece) []piece { p[5].text = "<0x0a>"; return p }), "no byte"},
		{"no <unk>", change(func(p []piece) []piece { return p[1:] }), "does not begin"},
		{"not UTF-8", change(func(p []piece) []piece { return append(p, piece{"\xff", -9e5, normal}) }), "not UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Parse(tt.model); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one about %q", err, tt.want)
			}
		})
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := Open(t.TempDir(), Auto); err == nil || !strings.Contains(err.Error(), "copy tokenizer.model") {
		t.Errorf("absent file: %v", err)
	}
	path := vocabularies(t)["trained"]
	if _, err := Open(filepath.Dir(path), "rust"); err == nil || !strings.Contains(err.Error(), `"rust" is unknown`) {
		t.Errorf("unknown backend: %v", err)
	}
	if _, err := Open(path, HuggingFace); (err == nil) != HasHuggingFace {
		t.Errorf("backend hf: %v", err)
	}
	tied := &Tokenizer{pieces: []piece{{"<unk>", 0, unknown}, {"ab", 0, normal}, {"bc", 0, normal}, {"a", 0, normal}, {"b", 0, normal}, {"c", 0, normal}},
		merges: map[string]int32{"ab": 1, "bc": 2, "a": 3, "b": 4, "c": 5}}
	if _, err := tied.HFJSON(); !errors.Is(err, ErrNotMerges) {
		t.Errorf("equal scores: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(trained(f))
	f.Fuzz(func(t *testing.T, model []byte) {
		tok, err := Parse(model)
		if err != nil {
			return
		}
		if got := tok.Decode(tok.Encode("refund 订单")); got == "" {
			t.Error("a vocabulary that loads must encode")
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	for name, path := range vocabularies(b) {
		for backend, enc := range encoders(b, path) {
			b.Run(name+"/"+backend, func(b *testing.B) {
				text := strings.Join(slices.Collect(shop(100)), " ")
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					enc.Encode(text)
				}
			})
		}
	}
}
