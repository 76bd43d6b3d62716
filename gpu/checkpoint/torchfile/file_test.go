package torchfile

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFilesOfTorch reads what torch.save wrote: testdata/fixtures.py.
func TestFilesOfTorch(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var files map[string]map[string]struct {
		Shape  []int
		Values []any
	}
	if err := json.Unmarshal(text, &files); err != nil {
		t.Fatal(err)
	}
	for file, tensors := range files {
		f := open(t, file)
		if len(f.Tensors()) != len(tensors) {
			t.Errorf("%s: %d tensors, want %d", file, len(f.Tensors()), len(tensors))
		}
		for name, want := range tensors {
			got, ok := f.Tensor(name)
			if !ok || !slices.Equal(got.Shape, want.Shape) {
				t.Fatalf("%s: tensor %s: shape %v, want %v", file, name, got.Shape, want.Shape)
			}
			values := make([]float32, got.Len())
			if err := f.Read(name, values); err != nil {
				if kind := string(got.DType); strings.ContainsAny(kind[:1], "IUB") && kind != "BF16" {
					values = whole(t, f, got)
				} else {
					t.Fatal(err)
				}
			}
			for i, v := range want.Values {
				if float32(number(v)) != values[i] {
					t.Errorf("%s: tensor %s of %s: element %d is %v, want %v", file, name, got.DType, i, values[i], v)
				}
			}
		}
	}
}

// number is a value in expected.json: JSON has no infinities.
func number(v any) float64 {
	switch v {
	case "inf":
		return math.Inf(1)
	case "-inf":
		return math.Inf(-1)
	}
	return v.(float64)
}

// whole reads whole numbers from the bytes that the tensor says are its own.
func whole(t *testing.T, f *File, tensor Tensor) (values []float32) {
	t.Helper()
	raw := make([]byte, tensor.Bytes)
	if _, err := f.r.ReadAt(raw, tensor.Offset); err != nil {
		t.Fatal(err)
	}
	width := len(raw) / tensor.Len()
	for word := range slices.Chunk(raw, width) {
		n := int64(0)
		for i, b := range word {
			n |= int64(b) << (8 * i)
		}
		if shift := 64 - 8*width; tensor.DType[0] == 'I' {
			n = n << shift >> shift
		}
		values = append(values, float32(n))
	}
	return values
}

func open(t *testing.T, file string) *File {
	t.Helper()
	f, err := Open(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestProtocol4(t *testing.T) {
	if tensors := open(t, "protocol4.bin").Tensors(); len(tensors) != 1 || tensors[0].Name != "proto" || tensors[0].Len() != 300 {
		t.Errorf("%+v", tensors)
	}
}

// TestRefusedFilesOfTorch: torch wrote these, and we do not read them; the error
// says what it is.
func TestRefusedFilesOfTorch(t *testing.T) {
	for file, want := range map[string]string{
		"evil.bin":           `entry "evil/data.pkl": offset 13: the pickle names "posix.system"`,
		"not_contiguous.bin": `tensor "turned": shape [3 2] with stride [1 3] is not contiguous`,
		"nested.bin":         `"model" is a dictionary: want a dictionary of tensors`,
		"number.bin":         `"step" is a number: want a dictionary of tensors`,
		"legacy.bin":         `torch before 1.6`,
		"untyped.bin":        `the pickle names "torch._utils._rebuild_tensor_v3"`,
	} {
		_, err := Open(filepath.Join("testdata", file))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v, want %s", file, err, want)
		}
	}
	f := open(t, "types.bin")
	for name, dst := range map[string][]float32{"int8": make([]float32, 4), "float": make([]float32, 5), "nothing": nil} {
		if err := f.Read(name, dst); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("reading %s as %d numbers: %v", name, len(dst), err)
		}
	}
}

// TestDamagedFiles: a file that is cut at any length, or has any byte changed,
// gives an error or the same tensors, whatever lies in them.
func TestDamagedFiles(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "state_dict.bin"))
	if err != nil {
		t.Fatal(err)
	}
	read := func(raw []byte) error {
		f, err := NewFile("damaged", bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			return err
		}
		for _, tensor := range f.Tensors() {
			if tensor.Bytes > int64(len(raw)) {
				t.Fatalf("tensor %q has %d bytes of %d", tensor.Name, tensor.Bytes, len(raw))
			}
			if err := f.Read(tensor.Name, make([]float32, tensor.Len())); err != nil {
				return err
			}
		}
		return nil
	}
	if err := read(raw); err != nil {
		t.Fatal(err)
	}
	for n := range raw {
		if err := read(raw[:n]); err == nil {
			t.Errorf("the first %d bytes of %d are taken for a whole file", n, len(raw))
		}
		changed := slices.Clone(raw)
		changed[n] ^= 0xFF
		read(changed)
	}
}

func FuzzFile(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.bin"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no files to begin with: %v", err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		file, err := NewFile("fuzzed", bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			return
		}
		for _, tensor := range file.Tensors() {
			if tensor.Offset < 0 || tensor.Bytes < 0 || tensor.Offset > int64(len(raw))-tensor.Bytes {
				t.Fatalf("tensor %q at %d of %d bytes lies outside the file's %d", tensor.Name, tensor.Offset, tensor.Bytes, len(raw))
			}
			if n := tensor.Len(); n > 0 && int64(n) <= tensor.Bytes {
				file.Read(tensor.Name, make([]float32, n))
			}
		}
	})
}
