package safetensors

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAnEarlierCheckpointIsReplaced: what is read after saving is what was
// saved, though the directory held shards and an index.
func TestAnEarlierCheckpointIsReplaced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "with [brackets]")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	old, shard := []Output{Values("w", []int{1}, []float32{1})}, "model-00001-of-00002.safetensors"
	if err := Create(filepath.Join(dir, shard), old, nil); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{indexFile: `{"weight_map":{"w":"` + shard + `"}}`, "notes.txt": "mine"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := CreateDir(dir, []Output{Values("w", []int{1}, []float32{2})}); err != nil {
		t.Fatal(err)
	}
	d, err := Open(filepath.Join(dir, singleFile))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var w [1]float32
	if err := d.Read("w", w[:]); err != nil || w[0] != 2 {
		t.Errorf("read %g (%v), want the 2 that was saved last", w[0], err)
	}
	for _, old := range []string{shard, indexFile} {
		if _, err := os.Stat(filepath.Join(dir, old)); err == nil {
			t.Errorf("the old %s is still there", old)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "notes.txt")); err != nil {
		t.Errorf("another file was removed: %v", err)
	}
}

// TestAShrinkingFileIsAnError: somebody cuts a file off while it is open.
func TestAShrinkingFileIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := Create(path, []Output{Values("w", []int{1 << 18}, make([]float32, 1<<18))}, nil); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Truncate(path, 1<<12); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Map("w"); err == nil || !strings.Contains(err.Error(), `tensor "w": offset`) {
		t.Errorf("a file that was cut off is mapped: %v", err)
	}
	if err := f.Read("w", make([]float32, 1<<18)); !errors.Is(err, io.EOF) {
		t.Errorf("error %v, want the end of the file", err)
	}
}
