package safetensors

import (
	"bytes"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTypes: every type that is written is read as the numbers that it holds,
// copied and mapped.
func TestTypes(t *testing.T) {
	raw := []byte{0x80, 0xFF, 0x7F}
	tensors := []Output{
		{Name: "codes", Shape: []int{3}, DType: I8, Stream: func(w io.Writer) error { _, err := w.Write(raw); return err }},
		{Name: "bf16", Shape: []int{2}, DType: BF16, Read: func(dst []float32) error { dst[0], dst[1] = 1, 3.14159; return nil }},
		{Name: "f16", Shape: []int{1, 2}, DType: F16, Read: func(dst []float32) error { dst[0], dst[1] = -2, 1.0/3; return nil }},
	}
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := Create(path, tensors, nil); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, want := range map[string][]float32{"codes": {-128, -1, 127}, "bf16": {1, 3.140625}, "f16": {-2, 0.333251953125}} {
		got := make([]float32, len(want))
		if err := f.Read(name, got); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v (%v), want %v", name, got, err, want)
		}
		x, _ := f.Tensor(name)
		copied, mapped := make([]byte, x.Bytes()), []byte(nil)
		if err := f.ReadBytes(name, copied, 0); err != nil {
			t.Error(err)
		}
		if mapped, err = f.Map(name); err != nil || !bytes.Equal(copied, mapped) {
			t.Errorf("%s: mapped %x (%v), copied %x", name, mapped, err, copied)
		}
		if err := f.ReadBytes(name, copied, 1); err == nil {
			t.Errorf("%s: bytes beyond its end were read", name)
		}
	}
	for want, o := range map[string]Output{
		"2 bytes were written": {Name: "w", Shape: []int{3}, DType: I8, Stream: func(w io.Writer) error { _, err := w.Write(raw[:2]); return err }},
		"is not written":       {Name: "w", Shape: []int{1}, DType: I8, Read: func([]float32) error { return nil }},
	} {
		if err := Write(io.Discard, []Output{o}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
