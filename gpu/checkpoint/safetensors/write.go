package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/glmflow/glmflow/gpu/checkpoint/atomicfile"
)

// An Output is a tensor to write. When its turn comes, either Read is called
// with a buffer of its length to fill, which is then written as F32, BF16 or
// F16; or, if it is given, Stream writes the tensor's bytes itself.
type Output struct {
	Name   string
	Shape  []int
	Read   func(dst []float32) error
	DType  DType // "" is F32
	Stream func(w io.Writer) error
}

// Values makes an Output of numbers in memory.
func Values(name string, shape []int, values []float32) Output {
	return Output{Name: name, Shape: shape, Read: func(dst []float32) error { copy(dst, values); return nil }}
}

func (o Output) len() int {
	n := 1
	for _, s := range o.Shape {
		n *= s
	}
	return n
}

func (o Output) dtype() DType {
	if o.DType == "" {
		return F32
	}
	return o.DType
}

// bytes is how many bytes the tensor takes.
func (o Output) bytes() int64 {
	size, _ := o.dtype().size()
	return size * int64(o.len())
}

// Write streams tensors to w in the given order, with meta in the header. The
// same tensors give the same bytes. Only one tensor is in memory at a time.
func Write(w io.Writer, tensors []Output, meta map[string]string) error {
	header := map[string]any{}
	if len(meta) > 0 {
		header["__metadata__"] = meta
	}
	offset, largest := int64(0), 0
	for _, t := range tensors {
		if _, twice := header[t.Name]; twice {
			return fmt.Errorf("tensor %q is written twice", t.Name)
		}
		switch d := t.dtype(); {
		case d == F32, d == BF16, d == F16, d == I8 && t.Stream != nil:
		default:
			return fmt.Errorf("tensor %q: dtype %q is not written from numbers", t.Name, d)
		}
		end := offset + t.bytes()
		shape := make([]int64, len(t.Shape))
		for i, s := range t.Shape {
			shape[i] = int64(s)
		}
		header[t.Name] = entry{t.dtype(), shape, []int64{offset, end}}
		offset = end
		if t.Stream == nil {
			largest = max(largest, t.len())
		}
	}
	text, err := json.Marshal(header) // sorts the names
	if err != nil {
		return err
	}
	for (8+len(text))%8 != 0 { // readers like the data aligned
		text = append(text, ' ')
	}
	if _, err := w.Write(append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)); err != nil {
		return err
	}
	values, raw := make([]float32, largest), make([]byte, 0, 4*pieceElements)
	for _, t := range tensors {
		if t.Stream != nil {
			c := &counter{w: w}
			if err := t.Stream(c); err != nil {
				return fmt.Errorf("tensor %q: %w", t.Name, err)
			}
			if c.n != t.bytes() {
				return fmt.Errorf("tensor %q: %d bytes were written, its shape takes %d", t.Name, c.n, t.bytes())
			}
			continue
		}
		part := values[:t.len()]
		if err := t.Read(part); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		for piece := range slices.Chunk(part, pieceElements) {
			raw = encode(t.dtype(), raw[:0], piece)
			if _, err := w.Write(raw); err != nil {
				return err
			}
		}
	}
	return nil
}

// A counter counts the bytes that go through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// Create writes a file that appears at path whole or not at all.
func Create(path string, tensors []Output, meta map[string]string) error {
	if err := atomicfile.Write(path, func(w io.Writer) error { return Write(w, tensors, meta) }); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
