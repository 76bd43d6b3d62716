package artifact_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/glmflow/glmflow/pipeline/artifact"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// each runs test on a store of every sort.
func each(t *testing.T, test func(t *testing.T, s *artifact.Store)) {
	for name, location := range map[string]func(*testing.T) string{
		"directory": func(t *testing.T) string { return t.TempDir() },
		"file URL":  func(t *testing.T) string { return "file://" + t.TempDir() },
		"memory":    func(*testing.T) string { return "mem://" },
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t, location(t))) })
	}
}

func open(t testing.TB, location string, opts ...artifact.Option) *artifact.Store {
	t.Helper()
	s, err := artifact.Open(t.Context(), location, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestRoundTrip(t *testing.T) {
	each(t, func(t *testing.T, s *artifact.Store) {
		rapid.Check(t, func(rt *rapid.T) {
			want := rapid.SliceOf(rapid.Byte()).Draw(rt, "bytes")
			d, n, err := s.Put(t.Context(), bytes.NewReader(want))
			if err != nil || n != int64(len(want)) || d != artifact.Of(want) {
				rt.Fatalf("put %d bytes: %s, %d, %v", len(want), d, n, err)
			}
			if again, err := s.PutBytes(t.Context(), want); err != nil || again != d {
				rt.Fatalf("put again: %s, %v", again, err)
			}
			got, err := s.Bytes(t.Context(), d, int64(len(want)))
			if err != nil || !bytes.Equal(got, want) {
				rt.Fatalf("got %x, %v", got, err)
			}
			r, size, c, err := s.ReaderAt(t.Context(), d)
			if err != nil || size != int64(len(want)) {
				rt.Fatalf("size %d, %v", size, err)
			}
			defer c.Close()
			from := rapid.IntRange(0, len(want)).Draw(rt, "from")
			part := make([]byte, len(want)-from)
			if _, err := r.ReadAt(part, int64(from)); err != nil && err != io.EOF || !bytes.Equal(part, want[from:]) {
				rt.Fatalf("read at %d: %x, %v", from, part, err)
			}
		})
	})
}

func TestAbsent(t *testing.T) {
	each(t, func(t *testing.T, s *artifact.Store) {
		d := artifact.Of([]byte("never stored"))
		if _, err := s.Get(t.Context(), d); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("get: %v", err)
		}
		if _, _, _, err := s.ReaderAt(t.Context(), d); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("reader: %v", err)
		}
		if _, err := s.Checkout(t.Context(), d); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("checkout: %v", err)
		}
		if _, err := s.Load(t.Context(), "job/step"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("load: %v", err)
		}
		if err := s.Drop(t.Context(), "job"); err != nil {
			t.Errorf("drop: %v", err)
		}
		if there, err := s.Has(t.Context(), d); there || err != nil {
			t.Errorf("has: %v, %v", there, err)
		}
	})
}

func TestNotADigest(t *testing.T) {
	s := open(t, "mem://")
	for _, d := range []artifact.Digest{"", "sha256:", "sha256:12", "../../etc/passwd", "md5:" + artifact.Digest(strings.Repeat("0", 64)), "sha256:" + artifact.Digest(strings.Repeat("G", 64))} {
		if _, err := s.Get(t.Context(), d); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v, want an error that says what it is not", d, err)
		}
	}
}

func TestDamageIsNoticed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	d, err := s.PutBytes(t.Context(), []byte("precious"))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := s.PutTree(t.Context(), fstest.MapFS{"f": {Data: []byte("precious")}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sha256", d.Hex()[:2], d.Hex())
	if err := errors.Join(os.Chmod(path, 0o644), os.WriteFile(path, []byte("precioux"), 0o644)); err != nil {
		t.Fatal(err)
	}
	_, bytesErr := s.Bytes(t.Context(), d, 100)
	_, _, _, readerErr := s.ReaderAt(t.Context(), d)
	_, checkoutErr := s.Checkout(t.Context(), tree)
	for what, err := range map[string]error{"bytes": bytesErr, "reader": readerErr, "checkout": checkoutErr} {
		if err == nil || !strings.Contains(err.Error(), "is damaged") {
			t.Errorf("%s of a damaged artifact: %v", what, err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(dir, "checkout")); len(left) != 0 {
		t.Errorf("a failed checkout left %v (%v)", left, err)
	}
}

// TestInterruptedPut: what fails half-way leaves no artifact and no litter.
func TestInterruptedPut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	broken := io.MultiReader(strings.NewReader("half"), errReader{})
	if _, _, err := s.Put(t.Context(), broken); !errors.Is(err, errTorn) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.PutBytes(ctx, []byte("cancelled")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if diff := cmp.Diff([]string(nil), files(t, dir)); diff != "" {
		t.Error(diff)
	}
	if _, err := s.PutBytes(t.Context(), []byte("whole")); err != nil {
		t.Fatal(err)
	}
	hex := artifact.Of([]byte("whole")).Hex()
	if diff := cmp.Diff([]string{"sha256/" + hex[:2] + "/" + hex}, files(t, dir)); diff != "" {
		t.Error(diff)
	}
}

var errTorn = errors.New("torn")

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errTorn }

// files lists the files under dir.
func files(t *testing.T, dir string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			paths = append(paths, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestLimit(t *testing.T) {
	s := open(t, "mem://")
	d, err := s.PutBytes(t.Context(), []byte("0123456789"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Bytes(t.Context(), d, 9); err == nil || !strings.Contains(err.Error(), "longer than 9 bytes") {
		t.Errorf("error %v", err)
	}
}

func TestObjects(t *testing.T) {
	each(t, func(t *testing.T, s *artifact.Store) {
		ctx := t.Context()
		save := func(name, content string) {
			t.Helper()
			if err := s.Save(ctx, name, func(w io.Writer) error { _, err := io.WriteString(w, content); return err }); err != nil {
				t.Fatal(err)
			}
		}
		load := func(name string) string {
			t.Helper()
			r, err := s.Load(ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		save("train/job/step", "one")
		save("train/job/step", "two")
		save("train/job2/step", "other")
		err := s.Save(ctx, "train/job/step", func(w io.Writer) error {
			io.WriteString(w, "half of thr")
			return errTorn
		})
		if !errors.Is(err, errTorn) {
			t.Errorf("a save that fails: %v", err)
		}
		if got := load("train/job/step"); got != "two" {
			t.Errorf("after a save that failed it is %q", got)
		}
		if err := s.Drop(ctx, "train/job"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(ctx, "train/job/step"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after drop: %v", err)
		}
		if got := load("train/job2/step"); got != "other" {
			t.Errorf("the neighbour is %q", got)
		}
		for _, name := range []string{"", ".", "../x", "/x", "a/"} {
			if err := s.Save(ctx, name, func(io.Writer) error { return nil }); err == nil {
				t.Errorf("saved as %q", name)
			}
			if err := s.Drop(ctx, name); err == nil {
				t.Errorf("dropped %q", name)
			}
		}
	})
}

func TestBefore(t *testing.T) {
	boom := errors.New("boom")
	var ops []artifact.Op
	s := open(t, "mem://", artifact.Before(func(op artifact.Op, key string) error {
		ops = append(ops, op)
		if op == artifact.OpWrite {
			return boom
		}
		return nil
	}))
	if _, err := s.PutBytes(t.Context(), []byte("x")); !errors.Is(err, boom) {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff([]artifact.Op{artifact.OpStat, artifact.OpWrite}, ops); diff != "" {
		t.Error(diff)
	}
}

func TestOpenNamesThePlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, location := range []string{file, "nosuch://bucket?secret=hidden"} {
		_, err := artifact.Open(t.Context(), location)
		if err == nil || !strings.Contains(err.Error(), strings.Split(location, "?")[0]) {
			t.Errorf("%s: %v", location, err)
		}
		if err != nil && strings.Contains(err.Error(), "hidden") {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}

// TestNothingGoesToTheSystemsTemporaryDirectory: it may be memory, and what goes
// in and out of a store may be a model.
func TestNothingGoesToTheSystemsTemporaryDirectory(t *testing.T) {
	for name, location := range map[string]string{"directory": t.TempDir(), "elsewhere": "mem://"} {
		cache := t.TempDir()
		s := open(t, location, artifact.Cache(cache))
		t.Setenv("TMPDIR", filepath.Join(cache, "absent")) // where nothing can be created
		d, err := s.PutBytes(t.Context(), []byte("a model"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, _, c, err := s.ReaderAt(t.Context(), d)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer c.Close()
		if err := s.Save(t.Context(), "job/checkpoint", func(w io.Writer) error { _, err := io.WriteString(w, "step 7"); return err }); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r, err := s.Load(t.Context(), "job/checkpoint")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer r.Close()
		if _, isFile := r.(*os.File); isFile != (name == "directory") {
			t.Errorf("%s: loaded as %T", name, r)
		}
		dir, err := s.Scratch()
		if err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v (%v)", name, left, err)
		}
	}
}
