package chatglm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
)

// TestOtherNetworksAreRefused: a config.json of a network that would be
// computed wrongly is an error.
func TestOtherNetworksAreRefused(t *testing.T) {
	for key, value := range map[string]string{
		"model_type": `"llama"`, "add_bias_linear": "true", "rmsnorm": "false", "post_layer_norm": "false",
		"apply_residual_connection_post_layernorm": "true", "tie_word_embeddings": "true", "original_rope": "false",
		"attention_dropout": "0.1", "hidden_dropout": "0.1", "num_layers": "16777216",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"`+key+`":`+value+`}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadConfig(dir); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s %s: error %v, want one that names it", key, value, err)
		}
	}
}

// TestSizesAreBoundedByTheFiles: a config.json that asks for more than the
// weights beside it is refused before anything is allocated.
func TestSizesAreBoundedByTheFiles(t *testing.T) {
	dir := t.TempDir()
	text := `{"num_layers":1,"hidden_size":1048576,"padded_vocab_size":1048576}`
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	few := []safetensors.Output{safetensors.Values(embeddingName, []int{1}, []float32{1})}
	if err := safetensors.CreateDir(dir, few); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, newReference(t)); err == nil || !strings.Contains(err.Error(), embeddingName) {
		t.Errorf("error %v, want one that names the embedding", err)
	}
}

func TestSavingCreatesTheDirectory(t *testing.T) {
	m := tiny(t, newReference(t), nil)
	if err := m.Save(filepath.Join(t.TempDir(), "a", "model")); err != nil {
		t.Error(err)
	}
	if err := m.AddLoRA(LoRAConfig{}, 1); err != nil {
		t.Fatal(err)
	}
	if err := m.SaveAdapter(filepath.Join(t.TempDir(), "a", "adapter"), "base"); err != nil {
		t.Error(err)
	}
}

func TestAccumulateNeedsSomethingTrainable(t *testing.T) {
	m := tiny(t, newReference(t), nil)
	if _, _, err := accumulate(m, Pack([]Sequence{{IDs: []int32{1, 2}, Labels: []int32{1, 2}}}), 1, 0); err == nil {
		t.Error("nothing is trainable, and no error says so")
	}
}
