package chatglm

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/glmflow/glmflow/gpu/checkpoint"
	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
)

// savedPrefix is a trained prefix in a directory, and the scores with it.
func savedPrefix(t *testing.T, c PrefixConfig) (dir string, m *Model, scores []float32) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "prefix")
	m = small(t, newReference(t), func(m *Model) error { return m.AddPrefix(c, 2) })
	scores, err := m.Logits(smallBatch())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SaveAdapter(dir, "THUDM/chatglm3-6b"); err != nil {
		t.Fatal(err)
	}
	return dir, m, scores
}

// TestPrefixDirectories: a prefix survives its files, in the layout of the
// original project, and computes the same on another copy of its base.
func TestPrefixDirectories(t *testing.T) {
	for name, c := range map[string]PrefixConfig{"plain": {Tokens: 3}, "projected": {Tokens: 2, Projection: true}} {
		t.Run(name, func(t *testing.T) {
			dir, m, want := savedPrefix(t, c)
			if kind, err := AdapterKind(dir); kind != KindPrefix || err != nil {
				t.Errorf("the directory is %q (%v)", kind, err)
			}
			files, err := checkpoint.OpenDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			names := []string{"transformer.prefix_encoder.embedding.weight"}
			if c.Projection {
				names = append(names, "transformer.prefix_encoder.trans.0.bias", "transformer.prefix_encoder.trans.0.weight",
					"transformer.prefix_encoder.trans.2.bias", "transformer.prefix_encoder.trans.2.weight")
			}
			if got := files.Names(); !slices.Equal(got, names) {
				t.Errorf("tensors %v, want %v", got, names)
			}
			files.Close()

			base := filepath.Join(t.TempDir(), "base")
			if err := m.Save(base); err != nil {
				t.Fatal(err)
			}
			if kind, err := AdapterKind(base); kind != "" || err != nil {
				t.Errorf("a model is the adapter %q (%v)", kind, err)
			}
			other, err := Open(base, newReference(t))
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			if err := other.AddLoRA(LoRAConfig{}, 1); err != nil { // which the prefix replaces
				t.Fatal(err)
			}
			if err := other.LoadAdapter(dir); err != nil {
				t.Fatal(err)
			}
			if _, ok := other.LoRA(); ok || len(other.Trainable()) != 0 {
				t.Error("the adapters that were there are left")
			}
			if got, err := other.Logits(smallBatch()); err != nil || !slices.Equal(want, got) {
				t.Errorf("a loaded prefix computes something else (%v)", err)
			}
			if got, ok := other.Prefix(); !ok || got != (PrefixConfig{c.Tokens, c.Projection, 0.1}) {
				t.Errorf("configuration %+v", got)
			}
			again := t.TempDir()
			if err := other.SaveAdapter(again, "THUDM/chatglm3-6b"); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"config.json", "model.safetensors"} {
				a, _ := os.ReadFile(filepath.Join(dir, name))
				b, _ := os.ReadFile(filepath.Join(again, name))
				if len(a) == 0 || !bytes.Equal(a, b) {
					t.Errorf("%s differs after a round trip", name)
				}
			}
			other.UseAdapters(false)
			plain, err := other.Logits(smallBatch())
			if err != nil || slices.Equal(want, plain) {
				t.Errorf("switched off, the prefix still counts (%v)", err)
			}
			if err := other.Merge(); err == nil {
				t.Error("a prefix was merged")
			}
			other.RemoveAdapters()
			if got, err := other.Logits(smallBatch()); err != nil || !slices.Equal(plain, got) {
				t.Errorf("removed, the prefix still counts (%v)", err)
			}
		})
	}
}

// TestModelsThatHaveAPrefix: the original trainer writes the whole model, prefix
// included, with pre_seq_len in its config.json.
func TestModelsThatHaveAPrefix(t *testing.T) {
	_, m, want := savedPrefix(t, PrefixConfig{Tokens: 3})
	dir := t.TempDir()
	if err := safetensors.CreateDir(dir, m.outputs(func(*Param) bool { return true })); err != nil {
		t.Fatal(err)
	}
	if err := m.cfg.write(dir, map[string]any{"pre_seq_len": 3}); err != nil {
		t.Fatal(err)
	}
	whole, err := Open(dir, newReference(t))
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	if got, err := whole.Logits(smallBatch()); err != nil || !slices.Equal(want, got) {
		t.Errorf("the whole model computes something else (%v)", err)
	}
	if kind, err := AdapterKind(dir); kind != "" || err != nil {
		t.Errorf("it is taken for the adapter %q (%v)", kind, err)
	}
	m.removePrefix()
	if err := m.LoadAdapter(dir); err != nil { // its prefix alone, for a base that is there already
		t.Fatal(err)
	}
	if got, err := m.Logits(smallBatch()); err != nil || !slices.Equal(want, got) {
		t.Errorf("its prefix computes something else (%v)", err)
	}
}

// TestPrefixesThatDoNotFit are refused, and what was there stays.
func TestPrefixesThatDoNotFit(t *testing.T) {
	dir, m, want := savedPrefix(t, PrefixConfig{Tokens: 3})
	path := filepath.Join(dir, "config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for change, say := range map[[2]string]string{
		{`"pre_seq_len": 3`, `"pre_seq_len": 4`}:                          "pre_seq_len 4",
		{`"pre_seq_len": 3`, `"pre_seq_len": -1`}:                         "pre_seq_len is -1",
		{`"pre_seq_len": 3`, `"pre_seq_len": 1000000000000`}:              "pre_seq_len is 1000000000000",
		{`"prefix_projection": false`, `"prefix_projection": true`}:       "trans.0.weight",
		{`"pre_seq_len": 3`, `"pre_seq_len": 1048576`}:                    "has shape [3 ",
		{`"pre_seq_len": 3`, `"pre_seq_len": "three"`}:                    "config.json",
		{`"prefix_projection": false`, `"prefix_projection": false, "":`}: "config.json",
	} {
		if !bytes.Contains(text, []byte(change[0])) {
			t.Fatalf("no %s in %s", change[0], text)
		}
		if err := os.WriteFile(path, bytes.Replace(text, []byte(change[0]), []byte(change[1]), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := m.LoadAdapter(dir); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%s: error %v, want one with %q", change[1], err, say)
		}
		if got, err := m.Logits(smallBatch()); err != nil || !slices.Equal(want, got) {
			t.Fatalf("%s: the prefix that was there is gone (%v)", change[1], err)
		}
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	wide := tiny(t, newReference(t), nil)
	if err := wide.LoadAdapter(dir); err == nil || !strings.Contains(err.Error(), "this base model") {
		t.Errorf("another base: error %v", err)
	}
	if _, err := Open(dir, newReference(t)); err == nil || !strings.Contains(err.Error(), "as its adapter") {
		t.Errorf("opened as a model: error %v, want the way out", err)
	}
	if err := m.LoadAdapter(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty directory: error %v", err)
	}
}

// TestRSLoRASurvivesItsFiles: PEFT's use_rslora is written where it matters, and
// read.
func TestRSLoRASurvivesItsFiles(t *testing.T) {
	m := small(t, newReference(t), methods()["rslora"].prepare)
	want, err := m.Logits(smallBatch())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := m.SaveAdapter(dir, "base"); err != nil {
		t.Fatal(err)
	}
	if kind, err := AdapterKind(dir); kind != KindLoRA || err != nil {
		t.Errorf("the directory is %q (%v)", kind, err)
	}
	text, _ := os.ReadFile(filepath.Join(dir, "adapter_config.json"))
	if !bytes.Contains(text, []byte(`"use_rslora": true`)) {
		t.Errorf("no use_rslora in %s", text)
	}
	m.RemoveAdapters()
	if err := m.LoadAdapter(dir); err != nil {
		t.Fatal(err)
	}
	if got, err := m.Logits(smallBatch()); err != nil || !slices.Equal(want, got) {
		t.Errorf("it computes something else (%v)", err)
	}
}
