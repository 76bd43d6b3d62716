package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var out []Output
		values := map[string][]float32{}
		for i := range rapid.IntRange(0, 5).Draw(t, "tensors") {
			shape := rapid.SliceOfN(rapid.IntRange(0, 5), 0, 3).Draw(t, "shape")
			name := fmt.Sprintf("t%d \"é", i)
			n := Output{Shape: shape}.len()
			values[name] = rapid.SliceOfN(rapid.Float32(), n, n).Draw(t, "values")
			out = append(out, Values(name, shape, values[name]))
		}
		var a, b bytes.Buffer
		if err := errors.Join(Write(&a, out, map[string]string{"k": "v"}), Write(&b, out, map[string]string{"k": "v"})); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Fatal("the same tensors gave two files")
		}
		f, err := NewFile("memory", bytes.NewReader(a.Bytes()), int64(a.Len()))
		if err != nil {
			t.Fatal(err)
		}
		if f.Metadata()["k"] != "v" || len(f.Tensors()) != len(out) {
			t.Fatalf("metadata %v, %d tensors", f.Metadata(), len(f.Tensors()))
		}
		for name, want := range values {
			got := make([]float32, len(want))
			if err := f.Read(name, got); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s: %v, want %v", name, got, want)
			}
		}
	})
}

func file(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

func TestMalformedFiles(t *testing.T) {
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "offset 0"},
		{"header longer than file", file(`{}`, 0)[:9], "does not fit"},
		{"absurd header length", binary.LittleEndian.AppendUint64(nil, math.MaxUint64), "does not fit"},
		{"no json", file(`hello`, 0), "header"},
		{"unknown dtype", file(`{"w":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}`, 8), `tensor "w": dtype "I64"`},
		{"cut short", file(`{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`, 8), `tensor "w": data_offsets [0 16]`},
		{"offsets backwards", file(`{"w":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, 8), "data_offsets"},
		{"wrong shape", file(`{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, 8), "takes 12 bytes"},
		{"overflowing shape", file(`{"w":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}`, 0), "impossible"},
		{"negative shape", file(`{"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}}`, 0), "impossible"},
		{"overlap", file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8), `inside tensor "a"`},
	} {
		_, err := NewFile("f", bytes.NewReader(c.file), int64(len(c.file)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}

func TestCreateLeavesNothingHalfDone(t *testing.T) {
	dir := t.TempDir()
	broken := Output{Name: "w", Shape: []int{1}, Read: func([]float32) error { return fs.ErrInvalid }}
	if err := Create(filepath.Join(dir, "x.safetensors"), []Output{broken}, nil); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("error %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func FuzzNewFile(f *testing.F) {
	f.Add(file(`{"w":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]},"__metadata__":{"format":"pt"}}`, 8))
	f.Add(file(`{}`, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := NewFile("fuzz", bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		for _, tensor := range file.Tensors() {
			if tensor.Len() > len(data) {
				t.Fatalf("%s claims %d elements in %d bytes", tensor.Name, tensor.Len(), len(data))
			}
			if err := file.Read(tensor.Name, make([]float32, tensor.Len())); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestSplit(t *testing.T) {
	var out []Output
	for i := range 5 {
		out = append(out, Values(fmt.Sprint("w", i), []int{10}, make([]float32, 10)))
	}
	if got := split(out, 100); len(got) != 3 {
		t.Errorf("%d shards of at most 100 bytes, want 3", len(got))
	}
}
