package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const shared = "../../../../shared/data/chatglm3"

// encoders returns every encoder of this build over the vocabulary at path.
func encoders(t testing.TB, path string) map[string]Encoder {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the vocabulary is not at hand: %v", err)
	}
	backends := []string{Go}
	if HasHuggingFace {
		backends = append(backends, HuggingFace)
	}
	encs := map[string]Encoder{}
	for _, b := range backends {
		enc, err := Open(path, b)
		if err != nil {
			t.Fatal(err)
		}
		encs[b] = enc
	}
	return encs
}

func TestGolden(t *testing.T) {
	encs := encoders(t, filepath.Join(shared, FileName))
	raw, err := os.ReadFile(filepath.Join(shared, "golden_tokenizer_chatglm3.json"))
	if err != nil {
		t.Skip(err)
	}
	var golden struct {
		Special map[string]int32
		Encode  []struct {
			Text, Decode string
			IDs          []int32
			Pieces       []string
		}
	}
	if err := json.Unmarshal(raw, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Encode) == 0 || len(golden.Special) != len(specialNames()) {
		t.Fatal("the golden file lacks a section")
	}
	for name, enc := range encs {
		t.Run(name, func(t *testing.T) {
			for _, c := range golden.Encode {
				ids := enc.Encode(c.Text)
				if len(c.IDs) == 0 {
					c.IDs = nil
				}
				if d := cmp.Diff(c.IDs, ids); d != "" {
					t.Errorf("encode %q as %q (-want +got):\n%s", c.Text, c.Pieces, d)
				}
				if got := enc.Decode(c.IDs); got != c.Decode {
					t.Errorf("decode %v: %q, want %q", c.IDs, got, c.Decode)
				}
			}
			for i, special := range specialNames() {
				id := int32(enc.Pieces() + i)
				if golden.Special[special] != id {
					t.Errorf("special %s is %d, want %d", special, id, golden.Special[special])
				}
				if got := enc.Decode([]int32{id}); got != special {
					t.Errorf("decode %d: %q, want %q", id, got, special)
				}
			}
		})
	}
}
