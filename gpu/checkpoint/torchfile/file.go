package torchfile

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
)

// A Tensor is one entry of the dictionary in a file.
type Tensor struct {
	Name   string
	DType  safetensors.DType // F32, F16, BF16, F64, I8, U8, BOOL, I16, I32 or I64
	Shape  []int
	Offset int64 // of its first byte in the file
	Bytes  int64
}

// Len is the number of elements.
func (t Tensor) Len() int {
	n := 1
	for _, s := range t.Shape {
		n *= s
	}
	return n
}

// A File is an open torch file.
type File struct {
	name    string
	r       io.ReaderAt
	close   func() error // nil for a reader that somebody else closes
	tensors []Tensor     // in the order of the dictionary
	index   map[string]int
}

// Open opens the file at path and checks what it says of its tensors. None of
// their bytes is read.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	file, err := NewFile(path, f, info.Size())
	if err != nil {
		f.Close()
		return nil, err
	}
	file.close = f.Close
	return file, nil
}

// NewFile reads a file of the given size from r; name is for errors.
func NewFile(name string, r io.ReaderAt, size int64) (*File, error) {
	a, err := openArchive(r, size)
	if err == nil {
		f := &File{name: name, r: r, index: map[string]int{}}
		if f.tensors, err = a.tensors(); err == nil {
			for i, t := range f.tensors {
				f.index[t.Name] = i
			}
			return f, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", name, err)
}

// Close gives the file back.
func (f *File) Close() error {
	if f.close == nil {
		return nil
	}
	return f.close()
}

// Tensors lists the tensors in the order of the dictionary.
func (f *File) Tensors() []Tensor { return f.tensors }

// Tensor finds a tensor by name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.index[name]
	if !ok {
		return Tensor{}, false
	}
	return f.tensors[i], true
}

// Limits on what an archive may claim. The pickle of the 6B model has 30 kB.
const (
	maxPickle  = 16 << 20
	maxTensors = 1 << 20
	maxVersion = 10 // the newest format that torch itself reads
)

// An archive is the zip file around a pickle and its storages.
type archive struct {
	r       io.ReaderAt
	size    int64
	dir     string // what every entry's name begins with, "archive/"
	entries map[string]*zip.File
}

func openArchive(r io.ReaderAt, size int64) (*archive, error) {
	z, err := zip.NewReader(r, size)
	if errors.Is(err, zip.ErrFormat) {
		return nil, fmt.Errorf("no zip archive: it is cut short, or torch before 1.6 wrote it (load and save it there once with a newer torch): %w", err)
	}
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // names are only looked up, never opened as paths
		return nil, err
	}
	a := &archive{r: r, size: size, entries: make(map[string]*zip.File, len(z.File))}
	for _, f := range z.File {
		if a.entries[f.Name] != nil {
			return nil, fmt.Errorf("entry %.100q is there twice", f.Name)
		}
		a.entries[f.Name] = f
		if dir, base := path.Split(f.Name); base == "data.pkl" && strings.Count(dir, "/") == 1 {
			a.dir = dir
		}
	}
	if a.dir == "" {
		return nil, errors.New("the archive has no data.pkl: torch.save did not write it")
	}
	return a, a.check()
}

// check reads the small entries that say how to read the others.
func (a *archive) check() error {
	if a.entries[a.dir+"byteorder"] != nil {
		order, err := a.read("byteorder", 16)
		if err != nil {
			return err
		}
		if string(order) != "little" {
			return fmt.Errorf("entry %q: %q: only little-endian files are read", a.dir+"byteorder", order)
		}
	}
	version, err := a.read("version", 16)
	if err != nil {
		return err
	}
	if v, err := strconv.Atoi(strings.TrimSpace(string(version))); err != nil || v < 1 || v > maxVersion {
		return fmt.Errorf("entry %q: %q: want a format of 1 to %d", a.dir+"version", version, maxVersion)
	}
	return nil
}

// section finds an entry's bytes in the file. They must lie there as they are.
func (a *archive) section(name string) (offset, size int64, err error) {
	f := a.entries[a.dir+name]
	if f == nil {
		return 0, 0, fmt.Errorf("the archive has no entry %.100q", a.dir+name)
	}
	if f.Method != zip.Store || f.CompressedSize64 != f.UncompressedSize64 {
		return 0, 0, fmt.Errorf("entry %.100q is compressed: torch.save does not do that", f.Name)
	}
	if offset, err = f.DataOffset(); err != nil {
		return 0, 0, fmt.Errorf("entry %.100q: %w", f.Name, err)
	}
	if offset < 0 || offset > a.size || f.UncompressedSize64 > uint64(a.size-offset) {
		return 0, 0, fmt.Errorf("entry %.100q: %d bytes at offset %d do not lie in a file of %d", f.Name, f.UncompressedSize64, offset, a.size)
	}
	return offset, int64(f.UncompressedSize64), nil
}

// read reads a small entry.
func (a *archive) read(name string, limit int64) ([]byte, error) {
	offset, size, err := a.section(name)
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("entry %.100q has %d bytes, more than %d", a.dir+name, size, limit)
	}
	raw := make([]byte, size)
	if _, err := a.r.ReadAt(raw, offset); err != nil {
		return nil, fmt.Errorf("entry %.100q: offset %d: %w", a.dir+name, offset, err)
	}
	return raw, nil
}

// tensors runs the pickle and finds the bytes of every tensor.
func (a *archive) tensors() ([]Tensor, error) {
	program, err := a.read("data.pkl", maxPickle)
	if err != nil {
		return nil, err
	}
	top, err := unpickle(program)
	if err != nil {
		return nil, fmt.Errorf("entry %q: %w", a.dir+"data.pkl", err)
	}
	d, ok := top.(*dict)
	if !ok {
		return nil, fmt.Errorf("entry %q holds %s: want a dictionary of tensors", a.dir+"data.pkl", describe(top))
	}
	if len(d.keys) > maxTensors {
		return nil, fmt.Errorf("entry %q names %d tensors", a.dir+"data.pkl", len(d.keys))
	}
	var tensors []Tensor
	seen := map[string]bool{}
	for i, key := range d.keys {
		name, ok := key.(string)
		if !ok {
			return nil, fmt.Errorf("entry %q: key %d is %s: want a dictionary of tensors", a.dir+"data.pkl", i, describe(key))
		}
		if seen[name] {
			return nil, fmt.Errorf("tensor %.100q is there twice", name)
		}
		seen[name] = true
		v, ok := d.values[i].(view)
		if !ok {
			return nil, fmt.Errorf("%.100q is %s: want a dictionary of tensors and nothing else", name, describe(d.values[i]))
		}
		t, err := a.tensor(name, v)
		if err != nil {
			return nil, fmt.Errorf("tensor %.100q: %w", name, err)
		}
		tensors = append(tensors, t)
	}
	return tensors, nil
}

func (a *archive) tensor(name string, v view) (Tensor, error) {
	n, err := v.elements()
	if err != nil {
		return Tensor{}, err
	}
	offset, size, err := a.section("data/" + v.key)
	if err != nil {
		return Tensor{}, err
	}
	if have := v.storage.elements * v.size; have != size {
		return Tensor{}, fmt.Errorf("entry %.100q at offset %d has %d bytes: %d elements of %s take %d", a.dir+"data/"+v.key, offset, size, v.storage.elements, v.dtype, have)
	}
	return Tensor{name, v.dtype, v.shape, offset + v.offset*v.size, n * v.size}, nil
}

// pieceElements are converted at a time: enough for the disk, few for the cache.
const pieceElements = 1 << 16

// Read decodes tensor name into dst, which must have its length, as float32.
func (f *File) Read(name string, dst []float32) error {
	t, ok := f.Tensor(name)
	if !ok {
		return fmt.Errorf("%s: tensor %q: %w", f.name, name, safetensors.ErrNoTensor)
	}
	if len(dst) != t.Len() {
		return fmt.Errorf("%s: tensor %q has %d elements, %d are wanted", f.name, name, t.Len(), len(dst))
	}
	if len(dst) == 0 {
		return nil
	}
	size := t.Bytes / int64(len(dst))
	raw := make([]byte, min(int64(len(dst)), pieceElements)*size)
	offset := t.Offset
	for part := range slices.Chunk(dst, pieceElements) {
		piece := raw[:int64(len(part))*size]
		if _, err := f.r.ReadAt(piece, offset); err != nil {
			return fmt.Errorf("%s: tensor %q: offset %d: %w", f.name, name, offset, err)
		}
		if err := decode(t.DType, part, piece); err != nil {
			return fmt.Errorf("%s: tensor %q: %w", f.name, name, err)
		}
		offset += int64(len(piece))
	}
	return nil
}

func decode(d safetensors.DType, dst []float32, raw []byte) error {
	switch {
	case d == "F64":
		for i := range dst {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:])))
		}
	case d != safetensors.F32 && d != safetensors.F16 && d != safetensors.BF16 || !d.Decode(dst, raw):
		return fmt.Errorf("its elements are %s: want F32, F16, BF16 or F64", d)
	}
	return nil
}
