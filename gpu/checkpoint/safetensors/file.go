package safetensors

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/glmflow/glmflow/gpu/half"
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
	end     int64 // of the file when it was opened

	disk   *os.File // nil for a reader that is no file
	mapped []byte   // the whole file, nil before Map needs it
	unmap  func() error
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
	file.close, file.disk = f.Close, f
	return file, nil
}

// NewFile reads a file of the given size from r; name is for errors.
func NewFile(name string, r io.ReaderAt, size int64) (*File, error) {
	tensors, meta, data, err := readHeader(r, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f := &File{name: name, r: r, tensors: tensors, meta: meta, data: data, end: size, index: make(map[string]int, len(tensors))}
	for i, t := range tensors {
		f.index[t.Name] = i
	}
	return f, nil
}

// Close gives the file back. What was read from it is not affected; what Map
// returned must not be used again.
func (f *File) Close() error {
	var errs []error
	if f.unmap != nil {
		errs = append(errs, f.unmap())
		f.mapped, f.unmap = nil, nil
	}
	if f.close != nil {
		errs = append(errs, f.close())
		f.close = nil
	}
	return errors.Join(errs...)
}

// Map returns the bytes of tensor name where they lie in the file, mapped into
// memory until Close. They can be read only. A file that is cut
// off later makes a read of what is gone end the process: map only files that
// nobody writes in place. The error is [errors.ErrUnsupported] where files
// cannot be mapped.
func (f *File) Map(name string) ([]byte, error) {
	t, ok := f.Tensor(name)
	if !ok {
		return nil, fmt.Errorf("%s: tensor %q: %w", f.name, name, ErrNoTensor)
	}
	if f.disk == nil {
		return nil, fmt.Errorf("%s: tensor %q: %w: it is no file", f.name, name, errors.ErrUnsupported)
	}
	info, err := f.disk.Stat() // it may be shorter by now than when the header was checked
	if err != nil {
		return nil, fmt.Errorf("%s: tensor %q: %w", f.name, name, err)
	}
	if info.Size() < f.end {
		return nil, fmt.Errorf("%s: tensor %q: offset %d: the file had %d bytes and has %d now", f.name, name, f.data+t.begin, f.end, info.Size())
	}
	if f.mapped == nil {
		if f.mapped, f.unmap, err = mapFile(f.disk, f.end); err != nil {
			return nil, err
		}
	}
	return f.mapped[f.data+t.begin : f.data+t.end : f.data+t.end], nil
}

// ReadBytes reads the bytes of tensor name from byte `from` of it on.
func (f *File) ReadBytes(name string, dst []byte, from int64) error {
	t, ok := f.Tensor(name)
	if !ok {
		return fmt.Errorf("%s: tensor %q: %w", f.name, name, ErrNoTensor)
	}
	if from < 0 || from+int64(len(dst)) > t.Bytes() {
		return fmt.Errorf("%s: tensor %q has %d bytes, %d from %d on are wanted", f.name, name, t.Bytes(), len(dst), from)
	}
	offset := f.data + t.begin + from
	if _, err := f.r.ReadAt(dst, offset); err != nil {
		return fmt.Errorf("%s: tensor %q: offset %d: %w", f.name, name, offset, err)
	}
	return nil
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
		t.DType.Decode(part, piece)
		offset += int64(len(piece))
	}
	return nil
}

// Decode widens little-endian elements of the type; ok is false for one that it
// does not know.
func (d DType) Decode(dst []float32, raw []byte) (ok bool) {
	switch d {
	case F32:
		half.DecodeF32(dst, raw)
	case BF16:
		half.DecodeBF16(dst, raw)
	case F16:
		half.DecodeF16(dst, raw)
	case I8:
		for i := range dst {
			dst[i] = float32(int8(raw[i]))
		}
	case U8:
		for i := range dst {
			dst[i] = float32(raw[i])
		}
	default:
		return false
	}
	return true
}

// encode appends src to raw.
func encode(d DType, raw []byte, src []float32) []byte {
	size, _ := d.size()
	at := len(raw)
	raw = slices.Grow(raw, len(src)*int(size))[:at+len(src)*int(size)]
	switch d {
	case F32:
		half.EncodeF32(raw[at:], src)
	case BF16:
		half.EncodeBF16(raw[at:], src)
	case F16:
		half.EncodeF16(raw[at:], src)
	}
	return raw
}
