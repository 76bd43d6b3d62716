package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Write creates or replaces the file at path with what write writes. The bytes
// go to a hidden file beside it, which gets the name once they are on the disk;
// where anything fails, what was at path stays. When Write returns, the name is
// on the disk, too.
func Write(path string, write func(io.Writer) error) error {
	sweep(path)
	f, err := create(path)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // of no effect once it is renamed
	if err := errors.Join(write(f), f.Chmod(0o644), f.Sync()); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := publish(f, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// WriteBytes is [Write] of b.
func WriteBytes(path string, b []byte) error {
	return Write(path, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// Remove removes the file at path, if there is one. When it returns, nothing that
// is written afterwards can outlive a crash together with the file.
func Remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// MkdirAll creates dir, with all parents that are missing. When it returns, their
// names are on the disk.
func MkdirAll(dir string) error {
	var missing []string
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); !errors.Is(err, fs.ErrNotExist) {
			break // here it begins, or os.MkdirAll will say what is wrong
		}
		missing = append(missing, at)
		if at == filepath.Dir(at) {
			break // a root that is not there
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, made := range missing {
		if err := syncDir(filepath.Dir(made)); err != nil {
			return err
		}
	}
	return nil
}

// create opens a hidden file for the bytes of path and claims it. Until it is
// claimed, another writer may take it for a dead one's and remove it.
func create(path string) (*os.File, error) {
	for {
		f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
		if err != nil {
			return nil, err
		}
		claim(f)
		if there(f) {
			return f, nil
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

// there reports whether f still lies under its name.
func there(f *os.File) bool {
	own, err := f.Stat()
	if err != nil {
		return true // a fault that writing will meet
	}
	now, err := os.Lstat(f.Name())
	return err == nil && os.SameFile(own, now)
}

// sweep removes what killed writers of path have left. Nobody needs it to
// succeed.
func sweep(path string) {
	dir, base := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.Type().IsRegular() && isHiddenOf(base, e.Name()) {
			removeDead(filepath.Join(dir, e.Name()))
		}
	}
}

// isHiddenOf reports whether create gives such a name to a file for base: what
// an editor leaves beside it has no number.
func isHiddenOf(base, name string) bool {
	head := "." + base + "."
	if len(name) <= len(head) || name[:len(head)] != head {
		return false
	}
	for _, digit := range name[len(head):] {
		if digit < '0' || digit > '9' {
			return false
		}
	}
	return true
}
