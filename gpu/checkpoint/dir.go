package checkpoint

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

	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
	"github.com/glmflow/glmflow/gpu/checkpoint/torchfile"
)

// A Stored file can give tensors as they are stored: safetensors files can.
type Stored interface {
	Tensor(name string) (safetensors.Tensor, bool)
	Map(name string) ([]byte, error)
	ReadBytes(name string, dst []byte, from int64) error
}

// A layout is a way to keep weights in a directory. Where there are several, the
// first is read.
type layout struct {
	index string // of shards, or
	file  string // all in one
}

func layouts() []layout {
	return []layout{
		{index: "model.safetensors.index.json"}, {file: "model.safetensors"},
		{index: "pytorch_model.bin.index.json"}, {file: "pytorch_model.bin"},
	}
}

// maxIndex bounds an index file; the 6B model's has 20 kB.
const maxIndex = 64 << 20

// A File is an open file of weights.
type File interface {
	// Tensors are the shapes of the file's tensors by name.
	Tensors() map[string][]int
	// Read decodes tensor name into dst as float32.
	Read(name string, dst []float32) error
	Close() error
}

// Open opens a file of weights: one whose name ends with .bin is torch's, any
// other is safetensors.
func Open(path string) (File, error) {
	if filepath.Ext(path) == ".bin" {
		f, err := torchfile.Open(path)
		if err != nil {
			return nil, err
		}
		return torch{f}, nil
	}
	f, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	return safe{f}, nil
}

// Files lists the files of weights in dir, of a model or of an adapter: those of
// safetensors, or else of torch, which keeps other things in .bin files, too.
func Files(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var safe, torch []string
	for _, e := range entries {
		name := e.Name()
		switch filepath.Ext(name) {
		case ".safetensors":
			safe = append(safe, name)
		case ".bin":
			if strings.HasPrefix(name, "pytorch_model") || strings.HasPrefix(name, "adapter_model") {
				torch = append(torch, name)
			}
		}
	}
	if len(safe) > 0 {
		return safe, nil
	}
	return torch, nil
}

type torch struct{ *torchfile.File }

func (f torch) Tensors() map[string][]int {
	shapes := map[string][]int{}
	for _, t := range f.File.Tensors() {
		shapes[t.Name] = t.Shape
	}
	return shapes
}

type safe struct{ *safetensors.File }

func (f safe) Tensors() map[string][]int {
	shapes := map[string][]int{}
	for _, t := range f.File.Tensors() {
		shapes[t.Name] = t.Shape
	}
	return shapes
}

// A Dir is an open directory of weights.
type Dir struct {
	path   string
	files  map[string]File // by file name
	where  map[string]File // by tensor
	shapes map[string][]int
}

// OpenDir opens the weights in dir. Nothing of them is read yet.
func OpenDir(dir string) (*Dir, error) {
	var tried []string
	for _, l := range layouts() {
		_, err := os.Stat(filepath.Join(dir, l.index+l.file))
		if errors.Is(err, fs.ErrNotExist) {
			tried = append(tried, l.index+l.file)
			continue
		}
		if err != nil {
			return nil, err
		}
		d := &Dir{path: dir, files: map[string]File{}, where: map[string]File{}, shapes: map[string][]int{}}
		if l.index != "" {
			err = d.openShards(l.index)
		} else {
			err = d.openAll(l.file)
		}
		if err != nil {
			d.Close()
			return nil, err
		}
		return d, nil
	}
	return nil, fmt.Errorf("%s has no weights: none of %s: %w", dir, strings.Join(tried, ", "), fs.ErrNotExist)
}

// openAll opens the one file that holds all tensors.
func (d *Dir) openAll(name string) error {
	f, err := Open(filepath.Join(d.path, name))
	if err != nil {
		return err
	}
	d.files[name] = f
	for tensor, shape := range f.Tensors() {
		d.where[tensor], d.shapes[tensor] = f, shape
	}
	return nil
}

// openShards opens the files that an index names. It says for each tensor where
// it lies: a layer's tensors may lie in several.
func (d *Dir) openShards(indexFile string) error {
	weights, err := d.readIndex(indexFile)
	if err != nil {
		return err
	}
	shapes := map[string]map[string][]int{}
	for _, tensor := range slices.Sorted(maps.Keys(weights)) {
		name := weights[tensor]
		if name != filepath.Base(name) || strings.HasPrefix(name, ".") {
			return fmt.Errorf("%s: tensor %q: file %q leaves the directory", filepath.Join(d.path, indexFile), tensor, name)
		}
		if d.files[name] == nil {
			f, err := Open(filepath.Join(d.path, name))
			if err != nil {
				return err
			}
			d.files[name], shapes[name] = f, f.Tensors()
		}
		shape, ok := shapes[name][tensor]
		if !ok {
			return fmt.Errorf("%s: tensor %q: %w, though %s says so", filepath.Join(d.path, name), tensor, safetensors.ErrNoTensor, indexFile)
		}
		d.where[tensor], d.shapes[tensor] = d.files[name], shape
	}
	return nil
}

// readIndex reads which file holds each tensor.
func (d *Dir) readIndex(name string) (map[string]string, error) {
	f, err := os.Open(filepath.Join(d.path, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.NewDecoder(io.LimitReader(f, maxIndex)).Decode(&index); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	if len(index.WeightMap) == 0 {
		return nil, fmt.Errorf("%s: weight_map names no tensor", f.Name())
	}
	return index.WeightMap, nil
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
	if d.where[name] == nil {
		return nil, fmt.Errorf("%s: tensor %q: %w", d.path, name, safetensors.ErrNoTensor)
	}
	return d.shapes[name], nil
}

// Read decodes tensor name into dst as float32.
func (d *Dir) Read(name string, dst []float32) error {
	f := d.where[name]
	if f == nil {
		return fmt.Errorf("%s: tensor %q: %w", d.path, name, safetensors.ErrNoTensor)
	}
	return f.Read(name, dst)
}

// Stored is the file that holds tensor name, if it can give it as it is stored.
func (d *Dir) Stored(name string) (Stored, bool) {
	f, ok := d.where[name].(Stored)
	return f, ok
}
