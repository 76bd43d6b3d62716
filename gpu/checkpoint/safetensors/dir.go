package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/glmflow/glmflow/gpu/checkpoint/atomicfile"
)

// Names of the files of a checkpoint directory.
const (
	singleFile = "model.safetensors"
	indexFile  = "model.safetensors.index.json"
)

// shardBytes is the most that a written file holds.
const shardBytes = 5_000_000_000

// maxIndex bounds an index file; the 6B model's has 20 kB.
const maxIndex = 64 << 20

// A Dir is an open checkpoint directory: one file, or shards with an index.
type Dir struct {
	path  string
	files map[string]*File // by file name
	where map[string]*File // by tensor
}

type index struct {
	Metadata  map[string]any    `json:"metadata"`
	WeightMap map[string]string `json:"weight_map"`
}

// OpenDir opens the checkpoint in dir.
func OpenDir(dir string) (*Dir, error) {
	d := &Dir{path: dir, files: map[string]*File{}, where: map[string]*File{}}
	f, err := os.Open(filepath.Join(dir, indexFile))
	if errors.Is(err, fs.ErrNotExist) {
		file, err := Open(filepath.Join(dir, singleFile))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s has neither %s nor %s: convert a torch checkpoint with safetensors first: %w", dir, singleFile, indexFile, err)
		}
		if err != nil {
			return nil, err
		}
		d.files[singleFile] = file
		for _, t := range file.Tensors() {
			d.where[t.Name] = file
		}
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var x index
	if err := json.NewDecoder(io.LimitReader(f, maxIndex)).Decode(&x); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	for tensor, name := range x.WeightMap {
		if name != filepath.Base(name) || strings.HasPrefix(name, ".") {
			d.Close()
			return nil, fmt.Errorf("%s: tensor %q: file %q leaves the directory", f.Name(), tensor, name)
		}
		file := d.files[name]
		if file == nil {
			if file, err = Open(filepath.Join(dir, name)); err != nil {
				d.Close()
				return nil, err
			}
			d.files[name] = file
		}
		if _, ok := file.Tensor(tensor); !ok {
			d.Close()
			return nil, fmt.Errorf("%s: tensor %q: %w, though %s says so", filepath.Join(dir, name), tensor, ErrNoTensor, indexFile)
		}
		d.where[tensor] = file
	}
	return d, nil
}

// Close closes the directory's files.
func (d *Dir) Close() error {
	var errs []error
	for _, f := range d.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// Names lists the tensors of all files in alphabetical order.
func (d *Dir) Names() []string { return slices.Sorted(maps.Keys(d.where)) }

// Shape is the shape of tensor name.
func (d *Dir) Shape(name string) ([]int, error) {
	f := d.where[name]
	if f == nil {
		return nil, fmt.Errorf("%s: tensor %q: %w", d.path, name, ErrNoTensor)
	}
	t, _ := f.Tensor(name)
	return t.Shape, nil
}

// Read decodes tensor name into dst as float32.
func (d *Dir) Read(name string, dst []float32) error {
	f := d.where[name]
	if f == nil {
		return fmt.Errorf("%s: tensor %q: %w", d.path, name, ErrNoTensor)
	}
	return f.Read(name, dst)
}

// CreateDir writes tensors into dir as one file, or as shards with an index
// where one would be larger than 5 GB. Files of an earlier checkpoint in dir
// that it does not replace are removed. Every file is replaced at once, the
// directory is not: write over a checkpoint only what may be lost.
func CreateDir(dir string, tensors []Output) error {
	meta := map[string]string{"format": "pt"}
	shards := split(tensors, shardBytes)
	if len(shards) == 1 {
		if err := Create(filepath.Join(dir, singleFile), tensors, meta); err != nil {
			return err
		}
		return removeOthers(dir, singleFile)
	}
	x := index{Metadata: map[string]any{}, WeightMap: map[string]string{}}
	total := int64(0)
	for i, shard := range shards {
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		if err := Create(filepath.Join(dir, name), shard, meta); err != nil {
			return err
		}
		for _, t := range shard {
			x.WeightMap[t.Name] = name
			total += 4 * int64(t.len())
		}
	}
	x.Metadata["total_size"] = total
	text, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.WriteBytes(filepath.Join(dir, indexFile), append(text, '\n')); err != nil {
		return err
	}
	return removeOthers(dir, append(slices.Collect(maps.Values(x.WeightMap)), indexFile)...)
}

// split groups tensors in their order into shards of at most limit bytes; a
// larger tensor gets a shard of its own.
func split(tensors []Output, limit int64) [][]Output {
	var shards [][]Output
	room := int64(0)
	for _, t := range tensors {
		size := 4 * int64(t.len())
		if len(shards) == 0 || size > room {
			shards, room = append(shards, nil), limit
		}
		shards[len(shards)-1] = append(shards[len(shards)-1], t)
		room -= size
	}
	return shards
}

// removeOthers removes the files of an earlier checkpoint that were not
// replaced, the index first: while it is there, the old weights are read.
func removeOthers(dir string, keep ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	old := []string{indexFile, singleFile}
	for _, e := range entries {
		shard, err := filepath.Match("model-*-of-*.safetensors", e.Name())
		if err != nil {
			return err
		}
		if shard {
			old = append(old, e.Name())
		}
	}
	for _, name := range old {
		if slices.Contains(keep, name) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
