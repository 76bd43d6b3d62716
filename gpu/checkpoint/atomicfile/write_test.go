package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestWholeOrNotAtAll: a writer that fails half-way changes nothing and leaves
// nothing behind.
func TestWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	halfway := func(w io.Writer) error {
		if _, err := io.WriteString(w, "half of"); err != nil {
			t.Fatal(err)
		}
		return fs.ErrInvalid
	}
	is := func(want string) {
		t.Helper()
		got, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		entries, _ := os.ReadDir(dir)
		if left := len(entries); err != nil || string(got) != want || left > 1 {
			t.Errorf("the file holds %q (%v) among %d, want %q alone", got, err, left, want)
		}
	}
	if err := Write(path, halfway); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("error %v, want the writer's", err)
	}
	is("")
	if err := WriteBytes(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	is("old")
	if err := Write(path, halfway); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("error %v, want the writer's", err)
	}
	is("old")
	if err := WriteBytes(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	is("new")
	if err := WriteBytes(filepath.Join(dir, "absent", "x"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a directory that is not there: %v", err)
	}
}

func TestMkdirAll(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"a/b/c", "a/b/c", "a/./d/", ".", filepath.Join(t.TempDir(), "x", "y")} {
		if err := MkdirAll(dir); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			t.Errorf("%s is no directory: %v", dir, err)
		}
	}
	if err := MkdirAll("file/x"); err == nil {
		t.Error("a directory was made in a file")
	}
}
