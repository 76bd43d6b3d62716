package safetensors

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
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
	b := bufio.NewWriterSize(w, 1<<20)
	if err := binary.Write(b, binary.LittleEndian, uint64(len(text))); err != nil {
		return err
	}
	if _, err := b.Write(text); err != nil {
		return err
	}
	values := make([]float32, largest)
	for _, t := range tensors {
		part := values[:t.len()]
		if err := t.Read(part); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		var raw [4]byte
		for _, v := range part {
			binary.LittleEndian.PutUint32(raw[:], math.Float32bits(v))
			if _, err := b.Write(raw[:]); err != nil {
				return err
			}
		}
	}
	return b.Flush()
}

// Create writes a file that appears at path whole or not at all.
func Create(path string, tensors []Output, meta map[string]string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := Write(f, tensors, meta); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
