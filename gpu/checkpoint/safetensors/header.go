package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// A DType is the type of a tensor's elements.
type DType string

// The types that are read and written. U8 is only read.
const (
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
	I8   DType = "I8"
	U8   DType = "U8"
)

func (d DType) size() (int64, bool) {
	switch d {
	case F32:
		return 4, true
	case F16, BF16:
		return 2, true
	case I8, U8:
		return 1, true
	}
	return 0, false
}

// Limits on what a header may claim; a real one has a few hundred tensors.
const (
	maxHeader  = 100 << 20
	maxTensors = 1 << 20
	maxRank    = 8
)

// A Tensor is one entry of a file.
type Tensor struct {
	Name       string
	DType      DType
	Shape      []int
	begin, end int64 // bytes of the data section
}

// Bytes is how many bytes the tensor takes.
func (t Tensor) Bytes() int64 { return t.end - t.begin }

// Len is the number of elements.
func (t Tensor) Len() int {
	n := 1
	for _, s := range t.Shape {
		n *= s
	}
	return n
}

type entry struct {
	DType   DType   `json:"dtype"`
	Shape   []int64 `json:"shape"`
	Offsets []int64 `json:"data_offsets"`
}

// readHeader parses the header of a file of the given size and checks every
// claim in it. It returns the tensors by offset, the free-form metadata and the
// offset of the data section.
func readHeader(r io.ReaderAt, size int64) ([]Tensor, map[string]string, int64, error) {
	var head [8]byte
	if size < 8 {
		return nil, nil, 0, fmt.Errorf("offset 0: %d bytes are too few for a header length", size)
	}
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return nil, nil, 0, fmt.Errorf("offset 0: %w", err)
	}
	length := binary.LittleEndian.Uint64(head[:])
	if length > maxHeader || int64(length) > size-8 {
		return nil, nil, 0, fmt.Errorf("offset 0: a header of %d bytes does not fit a file of %d", length, size)
	}
	text := make([]byte, length)
	if _, err := r.ReadAt(text, 8); err != nil {
		return nil, nil, 0, fmt.Errorf("offset 8: header: %w", err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, nil, 0, fmt.Errorf("offset 8: header: %w", err)
	}
	if len(raw) > maxTensors {
		return nil, nil, 0, fmt.Errorf("offset 8: header names %d tensors", len(raw))
	}
	data := 8 + int64(length)
	var meta map[string]string
	tensors := make([]Tensor, 0, len(raw))
	for name, body := range raw {
		if name == "__metadata__" {
			if err := json.Unmarshal(body, &meta); err != nil {
				return nil, nil, 0, fmt.Errorf("offset 8: metadata: %w", err)
			}
			continue
		}
		t, err := parseTensor(name, body, size-data)
		if err != nil {
			return nil, nil, 0, fmt.Errorf("tensor %q: %w", name, err)
		}
		tensors = append(tensors, t)
	}
	slices.SortFunc(tensors, func(a, b Tensor) int {
		if a.begin != b.begin {
			return int(max(-1, min(1, a.begin-b.begin)))
		}
		return bytes.Compare([]byte(a.Name), []byte(b.Name))
	})
	for i := 1; i < len(tensors); i++ {
		if a, b := tensors[i-1], tensors[i]; b.begin < a.end {
			return nil, nil, 0, fmt.Errorf("tensor %q: begins at offset %d, inside tensor %q", b.Name, data+b.begin, a.Name)
		}
	}
	return tensors, meta, data, nil
}

// ReadMetadata reads the free-form part of the header from the beginning of a
// file, and nothing behind the header.
func ReadMetadata(r io.Reader) (map[string]string, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("offset 0: %w", err)
	}
	length := binary.LittleEndian.Uint64(head[:])
	if length > maxHeader {
		return nil, fmt.Errorf("offset 0: a header of %d bytes is too long", length)
	}
	var header struct {
		Metadata map[string]string `json:"__metadata__"`
	}
	if err := json.NewDecoder(io.LimitReader(r, int64(length))).Decode(&header); err != nil {
		return nil, fmt.Errorf("offset 8: header: %w", err)
	}
	return header.Metadata, nil
}

func parseTensor(name string, body json.RawMessage, room int64) (Tensor, error) {
	var e entry
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return Tensor{}, err
	}
	size, known := e.DType.size()
	if !known {
		return Tensor{}, fmt.Errorf("dtype %q is not supported: want F32, F16 or BF16", e.DType)
	}
	if len(e.Offsets) != 2 || e.Offsets[0] < 0 || e.Offsets[1] < e.Offsets[0] || e.Offsets[1] > room {
		return Tensor{}, fmt.Errorf("data_offsets %v do not lie in the %d bytes of data: is the file cut short?", e.Offsets, room)
	}
	if len(e.Shape) > maxRank {
		return Tensor{}, fmt.Errorf("shape has %d dimensions", len(e.Shape))
	}
	elements := int64(1)
	shape := make([]int, len(e.Shape))
	for i, s := range e.Shape {
		if s < 0 || s > 0 && elements > math.MaxInt64/8/s {
			return Tensor{}, fmt.Errorf("shape %v is impossible", e.Shape)
		}
		elements *= s
		shape[i] = int(s)
	}
	if have := e.Offsets[1] - e.Offsets[0]; have != elements*size {
		return Tensor{}, fmt.Errorf("shape %v of %s takes %d bytes, data_offsets %v give %d", e.Shape, e.DType, elements*size, e.Offsets, have)
	}
	return Tensor{name, e.DType, shape, e.Offsets[0], e.Offsets[1]}, nil
}

// ErrNoTensor says that a file has no tensor of a name.
var ErrNoTensor = errors.New("no such tensor")
