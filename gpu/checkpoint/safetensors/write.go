package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/glmflow/glmflow/gpu/checkpoint/atomicfile"
)

// An Output is a tensor to write, as F32. Read is called once, when its turn
// comes, with a buffer of its length to fill.
type Output struct {
	Name  string
	Shape []int
	Read  func(dst []float32) error
}

// Values makes an Output of numbers in memory.
func Values(name string, shape []int, values []float32) Output {
	return Output{name, shape, func(dst []float32) error { copy(dst, values); return nil }}
}

func (o Output) len() int {
	n := 1
	for _, s := range o.Shape {
		n *= s
	}
	return n
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
		end := offset + 4*int64(t.len())
		shape := make([]int64, len(t.Shape))
		for i, s := range t.Shape {
			shape[i] = int64(s)
		}
		header[t.Name] = entry{F32, shape, []int64{offset, end}}
		offset, largest = end, max(largest, t.len())
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
		part := values[:t.len()]
		if err := t.Read(part); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		for piece := range slices.Chunk(part, pieceElements) {
			raw = raw[:0]
			for _, v := range piece {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
			}
			if _, err := w.Write(raw); err != nil {
				return err
			}
		}
	}
	return nil
}

// Create writes a file that appears at path whole or not at all.
func Create(path string, tensors []Output, meta map[string]string) error {
	if err := atomicfile.Write(path, func(w io.Writer) error { return Write(w, tensors, meta) }); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
