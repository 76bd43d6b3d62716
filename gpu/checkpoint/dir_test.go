package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
)

func TestFiles(t *testing.T) {
	for _, tt := range []struct{ there, want []string }{
		{nil, nil},
		{[]string{"config.json", "training_args.bin"}, nil},
		{[]string{"pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin", "optimizer.bin", "pytorch_model.bin.index.json"}, []string{"pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"}},
		{[]string{"adapter_model.bin", "adapter_model.safetensors"}, []string{"adapter_model.safetensors"}},
	} {
		dir := t.TempDir()
		for _, name := range tt.there {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := Files(dir); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("of %q: %q, want %q (%v)", tt.there, got, tt.want, err)
		}
	}
}

// TestOpenDir: what safetensors wrote comes before what torch may have left.
func TestOpenDir(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenDir(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty directory: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pytorch_model.bin"), []byte("no archive"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDir(dir); err == nil {
		t.Error("what is no archive was taken for one")
	}
	if err := safetensors.CreateDir(dir, []safetensors.Output{safetensors.Values("w", []int{2}, []float32{1, 2})}); err != nil {
		t.Fatal(err)
	}
	d, err := OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	w := make([]float32, 2)
	if shape, err := d.Shape("w"); err != nil || !slices.Equal(shape, []int{2}) || d.Read("w", w) != nil || w[1] != 2 || !slices.Equal(d.Names(), []string{"w"}) {
		t.Errorf("shape %v, values %v, names %q: %v", shape, w, d.Names(), err)
	}
	_, err = d.Shape("x")
	if !errors.Is(err, safetensors.ErrNoTensor) || !errors.Is(d.Read("x", w), safetensors.ErrNoTensor) {
		t.Errorf("an unknown tensor: %v", err)
	}
}

// TestShards: the index says which tensors there are, and where.
func TestShards(t *testing.T) {
	dir := t.TempDir()
	var out []safetensors.Output
	for i := range 5 {
		out = append(out, safetensors.Values(fmt.Sprint("w", i), []int{10}, make([]float32, 10)))
	}
	index := `{"weight_map":{"w0":"a.safetensors","w1":"b.safetensors"}}`
	for name, tensors := range map[string][]safetensors.Output{"a.safetensors": out[:1], "b.safetensors": out[1:]} {
		if err := safetensors.Create(filepath.Join(dir, name), tensors, nil); err != nil {
			t.Fatal(err)
		}
	}
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "model.safetensors.index.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(index)
	d, err := OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if shape, err := d.Shape("w1"); err != nil || !slices.Equal(shape, []int{10}) {
		t.Errorf("shape %v, %v", shape, err)
	}
	if err := d.Read("w4", make([]float32, 10)); !errors.Is(err, safetensors.ErrNoTensor) {
		t.Errorf("a tensor that the index does not name: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	write(strings.Replace(index, "b.safe", "../b.safe", 1))
	if _, err := OpenDir(dir); err == nil || !strings.Contains(err.Error(), "leaves the directory") {
		t.Errorf("an index that leaves its directory: %v", err)
	}
	write(strings.Replace(index, `"w1"`, `"w9"`, 1))
	if _, err := OpenDir(dir); !errors.Is(err, safetensors.ErrNoTensor) {
		t.Errorf("an index that lies: %v", err)
	}
}
