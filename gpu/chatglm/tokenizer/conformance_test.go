package tokenizer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// vocabularies returns the directories that the suite runs over: a vocabulary
// trained here, and the real one where it is at hand.
func vocabularies(t testing.TB) map[string]string {
	t.Helper()
	dirs := map[string]string{"trained": filepath.Join(t.TempDir(), FileName)}
	if err := os.WriteFile(dirs["trained"], trained(t), 0o600); err != nil {
		t.Fatal(err)
	}
	if real := filepath.Join(shared, FileName); fileExists(real) {
		dirs["chatglm3"] = real
	}
	return dirs
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// TestConformance holds every encoder of this build to the definition of the
// algorithm, on texts that look for its corners.
func TestConformance(t *testing.T) {
	for name, path := range vocabularies(t) {
		truth, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		for backend, enc := range encoders(t, path) {
			t.Run(name+"/"+backend, func(t *testing.T) {
				rapid.Check(t, func(t *rapid.T) {
					text := awkward().Draw(t, "text")
					ids := enc.Encode(text)
					if want := truth.slowly(text); !slices.Equal(ids, want) {
						t.Fatalf("encode %q: %v, want %v", text, ids, want)
					}
					if got, want := enc.Decode(ids), plain(text); got != want {
						t.Fatalf("decode %v: %q, want %q", ids, got, want)
					}
				})
			})
		}
	}
}

// TestConcurrent shares one encoder between goroutines, for the race detector.
func TestConcurrent(t *testing.T) {
	for name, path := range vocabularies(t) {
		for backend, enc := range encoders(t, path) {
			t.Run(name+"/"+backend, func(t *testing.T) {
				want := enc.Encode("退款 please, 单号 12345")
				var wg sync.WaitGroup
				for range 4 {
					wg.Go(func() {
						for range 50 {
							if got := enc.Encode("退款 please, 单号 12345"); !slices.Equal(got, want) {
								t.Errorf("got %v, want %v", got, want)
							}
						}
					})
				}
				wg.Wait()
			})
		}
	}
}

// TestNoSpecialFromText is what the exported file cannot promise, and Open does.
func TestNoSpecialFromText(t *testing.T) {
	for name, path := range vocabularies(t) {
		for backend, enc := range encoders(t, path) {
			names := specialNames()
			for _, id := range enc.Encode(strings.Join(names[:], " ") + "</s><unk><s><0x0A>") {
				if id <= EOS || int(id) >= enc.Pieces() {
					t.Errorf("%s/%s: text gave the special id %d", name, backend, id)
				}
			}
		}
	}
}

// awkward draws texts made of what tokenizers stumble over.
func awkward() *rapid.Generator[string] {
	parts := rapid.OneOf(
		rapid.SampledFrom([]string{
			" ", "  ", "▁", "\n", "\t", "\r\n", "\x00", "\xff", "\xe4\xbd", "\ufffd", "\ufeff",
			"</s>", "<unk>", "<0x0A>", "<|user|>", "<|assistant|>", "[gMASK]", "sop", "eop", "people",
			"你好", "退款", "，", "。", "请问", "订单", "the", " order", "refund", "12", "３", "👋", "👨‍👩‍👧", "e\u0301", "한국",
		}),
		rapid.String(),
		rapid.StringN(1, 3, -1),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 4), func(b []byte) string { return string(b) }),
	)
	return rapid.Map(rapid.SliceOfN(parts, 0, 12), func(p []string) string { return strings.Join(p, "") })
}

// plain is what a text reads like after encoding and decoding.
func plain(text string) string {
	return strings.ReplaceAll(string([]rune(text)), "▁", " ")
}

// slowly encodes by the definition: look for the best merge, do it, look again.
func (t *Tokenizer) slowly(text string) (ids []int32) {
	if text == "" {
		return nil
	}
	var symbols []string
	for _, r := range "▁" + strings.ReplaceAll(text, " ", "▁") {
		symbols = append(symbols, string(r))
	}
	for {
		best := -1
		for i := 1; i < len(symbols); i++ {
			id, ok := t.merges[symbols[i-1]+symbols[i]]
			if ok && (best < 0 || t.pieces[id].score > t.pieces[t.merges[symbols[best-1]+symbols[best]]].score) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		symbols = slices.Replace(symbols, best-1, best+1, symbols[best-1]+symbols[best])
	}
	for _, s := range symbols {
		if id, ok := t.merges[s]; ok {
			ids = append(ids, id)
			continue
		}
		for _, b := range []byte(s) {
			ids = append(ids, 3+int32(b))
		}
	}
	return ids
}

// TestSentencePiece compares with the original implementation, where a Python
// that has it is named in PYTHON or found as python3:
//
//	python3 -m venv /tmp/sp && /tmp/sp/bin/pip install sentencepiece
//	PYTHON=/tmp/sp/bin/python go test -run SentencePiece -v ./gpu/chatglm/tokenizer
func TestSentencePiece(t *testing.T) {
	python := cmp.Or(os.Getenv("PYTHON"), "python3")
	if err := exec.Command(python, "-c", "import sentencepiece").Run(); err != nil {
		t.Skipf("%s has no sentencepiece: %v", python, err)
	}
	for name, path := range vocabularies(t) {
		t.Run(name, func(t *testing.T) {
			tok, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			var job struct {
				Model string    `json:"model"`
				Texts []string  `json:"texts"`
				IDs   [][]int32 `json:"ids"`
			}
			job.Model = path
			ids := rapid.SliceOfN(rapid.Int32Range(0, int32(tok.Pieces()-1)), 0, 12)
			bytewise := rapid.SliceOfN(rapid.Int32Range(1, 300), 0, 12)
			for seed := range 2000 {
				// SentencePiece takes Unicode strings: no stray bytes, no NUL lost on the way.
				job.Texts = append(job.Texts, strings.ToValidUTF8(awkward().Example(seed), "?"))
				job.IDs = append(job.IDs, rapid.OneOf(ids, bytewise).Example(seed))
			}
			in, err := json.Marshal(job)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(python, filepath.Join("testdata", "original.py"))
			cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			var want struct {
				Encoded [][]int32
				Decoded []string
			}
			if err := json.Unmarshal(out, &want); err != nil {
				t.Fatal(err)
			}
			for i, text := range job.Texts {
				if got := tok.Encode(text); !slices.Equal(got, want.Encoded[i]) {
					t.Errorf("encode %q: %v, SentencePiece has %v", text, got, want.Encoded[i])
				}
			}
			for i, ids := range job.IDs {
				if d := gocmp.Diff(want.Decoded[i], tok.Decode(ids)); d != "" {
					t.Errorf("decode %v (-SentencePiece +ours):\n%s", ids, d)
				}
			}
		})
	}
}

func FuzzEncode(f *testing.F) {
	tok, err := Parse(trained(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("Hello, 你好 \x00\xff▁▁ 12345 <|user|>")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<10 {
			return // slowly is slow
		}
		ids := tok.Encode(text)
		if want := tok.slowly(text); !slices.Equal(ids, want) {
			t.Fatalf("encode %q: %v, want %v", text, ids, want)
		}
		if got := tok.Decode(ids); got != plain(text) {
			t.Fatalf("decode %q: %q", text, got)
		}
	})
}

func FuzzDecode(f *testing.F) {
	tok, err := Parse(trained(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{0, 1, 2, 3, 255, 254})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var ids []int32
		for i := 0; i+1 < len(raw); i += 2 {
			ids = append(ids, int32(int16(raw[i])<<8|int16(raw[i+1])))
		}
		if got := tok.Decode(ids); !utf8.ValidString(got) {
			t.Fatalf("decode %v: %q is not UTF-8", ids, got)
		}
	})
}
