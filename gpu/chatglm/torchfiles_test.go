package chatglm

import (
	"github.com/glmflow/glmflow/gpu/device"

	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTorchFiles: a model that torch.save wrote, in one file or in shards that
// cut a layer, a prefix and an adapter are what they are in safetensors. Other
// tools wrote all of them: testdata/torchfiles.py.
func TestTorchFiles(t *testing.T) {
	dev := newReference(t)
	at := func(name string) string { return filepath.Join("testdata", "torch", name) }
	open := func(name, adapter string) *Model {
		t.Helper()
		m, err := Open(at(name), dev)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		if adapter != "" {
			if err := m.LoadAdapter(at(adapter)); err != nil {
				t.Fatal(err)
			}
		}
		return m
	}
	values := func(m *Model) map[string][]float32 {
		out := map[string][]float32{}
		for _, p := range m.Params() {
			dst := make([]float32, p.Len())
			dev.Download(device.Raw(dst), p.W.Data)
			out[p.Name] = dst
		}
		return out
	}
	for _, pair := range []struct{ safetensors, torch [2]string }{
		{[2]string{"safetensors", ""}, [2]string{"single", ""}},
		{[2]string{"safetensors", ""}, [2]string{"sharded", ""}},
		{[2]string{"safetensors", "adapter_safetensors"}, [2]string{"sharded", "adapter"}},
		{[2]string{"safetensors", "prefix_safetensors"}, [2]string{"single", "prefix"}},
	} {
		want, got := values(open(pair.safetensors[0], pair.safetensors[1])), values(open(pair.torch[0], pair.torch[1]))
		if len(want) != len(got) || len(want) < 17 {
			t.Errorf("%v: %d weights, want %d", pair.torch, len(got), len(want))
		}
		for name, w := range want {
			if !slices.Equal(w, got[name]) || slices.Max(w) == 0 {
				t.Errorf("%v: weight %s differs", pair.torch, name)
			}
		}
	}
}

// TestTorchShardsThatLie: errors name the file and the tensor.
func TestTorchShardsThatLie(t *testing.T) {
	const first, second = "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"
	const index = "pytorch_model.bin.index.json"
	from := filepath.Join("testdata", "torch", "sharded")
	text := func(name string) string {
		raw, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	for what, tt := range map[string]struct{ file, content, err string }{
		"whole":            {index, text(index), ""},
		"a swapped shard":  {second, text(first), `no such tensor, though ` + index + ` says so`},
		"a cut shard":      {second, text(second)[:1000], second + ": no zip archive"},
		"a missing shard":  {second, "", second + ": no such file"},
		"outside":          {index, strings.ReplaceAll(text(index), second, "../"+second), "leaves the directory"},
		"no index":         {index, "{", index + ": unexpected EOF"},
		"an empty index":   {index, "{}", "weight_map names no tensor"},
		"a tensor too few": {index, strings.ReplaceAll(text(index), `"transformer.output_layer.weight"`, `"transformer.rotary_pos_emb.inv_freq"`), `tensor "transformer.`},
	} {
		dir := t.TempDir()
		for _, name := range []string{"config.json", index, first, second} {
			content := text(name)
			if name == tt.file {
				content = tt.content
			}
			if content == "" {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		m, err := Open(dir, newReference(t))
		if err == nil {
			m.Close()
		}
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: %v, want %s", what, err, tt.err)
		}
	}
}
