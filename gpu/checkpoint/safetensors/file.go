package safetensors

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
)

// A File is an open safetensors file.
type File struct {
	name    string
	r       io.ReaderAt
	close   func() error // nil for a reader that somebody else closes
	tensors []Tensor     // in the order of their bytes
	index   map[string]int
	meta    map[string]string
	data    int64 // offset of the data section
}

// Open opens the file at path and checks its header.
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
	tensors, meta, data, err := readHeader(r, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f := &File{name: name, r: r, tensors: tensors, meta: meta, data: data, index: make(map[string]int, len(tensors))}
	for i, t := range tensors {
		f.index[t.Name] = i
	}
	return f, nil
}

// Close gives the file back. Nothing read from it is affected.
func (f *File) Close() error {
	if f.close == nil {
		return nil
	}
	return f.close()
}

// Tensors lists the tensors in the order of their bytes.
func (f *File) Tensors() []Tensor { return f.tensors }

// Metadata is the header's free-form part.
func (f *File) Metadata() map[string]string { return f.meta }

// Tensor finds a tensor by name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.index[name]
	if !ok {
		return Tensor{}, false
	}
	return f.tensors[i], true
}

// pieceElements are converted at a time: enough for the disk, few for the cache.
const pieceElements = 1 << 16

// Read decodes tensor name into dst, which must have its length, as float32.
func (f *File) Read(name string, dst []float32) error {
	t, ok := f.Tensor(name)
	if !ok {
		return fmt.Errorf("%s: tensor %q: %w", f.name, name, ErrNoTensor)
	}
	if len(dst) != t.Len() {
		return fmt.Errorf("%s: tensor %q has %d elements, %d are wanted", f.name, name, t.Len(), len(dst))
	}
	size, _ := t.DType.size()
	raw := make([]byte, min(int64(len(dst)), pieceElements)*size)
	offset := f.data + t.begin
	for part := range slices.Chunk(dst, pieceElements) {
		piece := raw[:int64(len(part))*size]
		if _, err := f.r.ReadAt(piece, offset); err != nil {
			return fmt.Errorf("%s: tensor %q: offset %d: %w", f.name, name, offset, err)
		}
		decode(t.DType, part, piece)
		offset += int64(len(piece))
	}
	return nil
}

func decode(d DType, dst []float32, raw []byte) {
	switch d {
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	case BF16:
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw[2*i:])) << 16)
		}
	case F16:
		for i := range dst {
			dst[i] = half(binary.LittleEndian.Uint16(raw[2*i:]))
		}
	}
}

// half widens an IEEE 754 binary16 number.
func half(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10)&0x1F, uint32(h)&0x3FF
	switch {
	case exponent == 0x1F: // infinity, not a number
		return math.Float32frombits(sign | 0x7F800000 | fraction<<13)
	case exponent != 0:
		return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
	default: // zero and subnormal numbers: fraction · 2⁻²⁴
		v := float32(fraction) * 0x1p-24
		return math.Float32frombits(sign | math.Float32bits(v))
	}
}
