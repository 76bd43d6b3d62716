package artifact

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"gocloud.dev/blob"
)

// stage opens a file for bytes that have no name yet. In a local store it lies
// on the store's own disk, so that adopt can rename it.
func (s *Store) stage() (*os.File, error) {
	if s.dir == "" {
		return s.unnamed()
	}
	return os.CreateTemp(filepath.Join(s.dir, "staging"), "put-")
}

// unnamed opens a file that vanishes when it is closed or the process dies.
func (s *Store) unnamed() (*os.File, error) {
	dir, err := s.Scratch()
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, "copy-")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// Scratch is a directory for copies of what goes into the store or comes out of
// it: on the store's own disk if it is a local one, else beside the trees that are
// checked out. The system's directory for temporary files may be memory, which
// has no room for a model. It is created.
func (s *Store) Scratch() (string, error) {
	dir := filepath.Join(s.cache, "staging")
	if s.dir != "" {
		dir = filepath.Join(s.dir, "staging")
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// adopt makes the staged file f the object key. A local file is on the disk, and
// its directory entry too, before adopt returns: an event that names it must
// never outlive it.
func (s *Store) adopt(ctx context.Context, f *os.File, key string) error {
	if err := s.before(OpWrite, key); err != nil {
		return err
	}
	if s.dir == "" {
		return s.upload(ctx, f, key)
	}
	if err := errors.Join(f.Chmod(0o444), f.Sync(), f.Close()); err != nil {
		return err
	}
	path := s.path(key)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDirs(s.dir, filepath.Dir(path))
}

func (s *Store) upload(ctx context.Context, f *os.File, key string) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // a writer whose context is cancelled before Close writes nothing
	w, err := s.bucket.NewWriter(ctx, key, &blob.WriterOptions{ContentType: "application/octet-stream"})
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, f); err != nil {
		cancel()
		return errors.Join(err, w.Close())
	}
	return w.Close()
}

// syncDirs makes the entries of dir and of its parents up to root durable.
func syncDirs(root, dir string) error {
	for {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return err
		}
		if dir == root || dir == filepath.Dir(dir) {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

// checked is a reader that ends in an error when it was not what it should be.
type checked struct {
	io.ReadCloser
	want Digest
	hash hash.Hash
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.hash.Write(p[:n])
	if err == io.EOF {
		if got := digestOf(c.hash); got != c.want {
			return n, fmt.Errorf("artifact %s is damaged: its bytes have the digest %s", c.want, got)
		}
	}
	return n, err
}

// contextReader stops a long copy when its context is cancelled.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
