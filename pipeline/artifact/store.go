package artifact

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	_ "gocloud.dev/blob/memblob" // the mem:// scheme
	"gocloud.dev/gcerrors"
)

// A Store keeps artifacts. Its methods may be called from several goroutines,
// and several processes may share one store.
type Store struct {
	bucket *blob.Bucket
	dir    string // the local directory behind bucket, "" if it lies elsewhere
	cache  string // where Checkout materialises trees
	before func(Op, string) error
	close  func() error
}

// An Op is a basic operation on a store.
type Op string

// The operations that [Before] sees.
const (
	OpRead  Op = "read"
	OpWrite Op = "write"
	OpStat  Op = "stat"
	OpDrop  Op = "drop"
)

// An Option changes how a [Store] works.
type Option func(*Store)

// Before calls ask ahead of every operation on a key of the store; its error
// becomes the operation's. Tests inject faults here.
func Before(ask func(op Op, key string) error) Option { return func(s *Store) { s.before = ask } }

// Cache sets the directory in which [Store.Checkout] materialises trees. The
// default is checkout/ inside a local store, else glmflow/checkout in the user's
// cache directory.
func Cache(dir string) Option { return func(s *Store) { s.cache = dir } }

// Open opens the store at location: a directory, which is created, or a bucket's
// URL whose scheme is linked into the program (file:///path, mem://). A mem://
// store lives as long as it is open.
func Open(ctx context.Context, location string, opts ...Option) (*Store, error) {
	s := &Store{before: func(Op, string) error { return nil }}
	for _, o := range opts {
		o(s)
	}
	if err := s.open(ctx, location); err != nil {
		return nil, fmt.Errorf("artifact store %s: %w", redacted(location), err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, location string) (err error) {
	s.close = func() error { return nil }
	dir, local := localDir(location)
	switch {
	case local:
		if s.dir, err = filepath.Abs(dir); err != nil {
			return err
		}
		for _, d := range []string{s.dir, filepath.Join(s.dir, "staging")} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				return err
			}
		}
		// Metadata would double the number of files and says nothing that the
		// digest does not say better.
		s.bucket, err = fileblob.OpenBucket(s.dir, &fileblob.Options{Metadata: fileblob.MetadataDontWrite, NoTempDir: true})
		if s.cache == "" {
			s.cache = filepath.Join(s.dir, "checkout")
		}
	case strings.HasPrefix(location, "mem:"):
		s.bucket, err = blob.OpenBucket(ctx, location)
		if err == nil && s.cache == "" {
			if s.cache, err = os.MkdirTemp("", "glmflow-checkout-"); err == nil {
				s.close = func() error { return os.RemoveAll(s.cache) }
			}
		}
	default:
		if s.bucket, err = blob.OpenBucket(ctx, location); err != nil {
			return errors.New(strings.ReplaceAll(err.Error(), location, redacted(location)))
		}
		if s.cache == "" {
			var user string
			user, err = os.UserCacheDir()
			s.cache = filepath.Join(user, "glmflow", "checkout")
		}
	}
	return err
}

// localDir returns the directory that location means, if it means one.
func localDir(location string) (string, bool) {
	if !strings.Contains(location, ":") || filepath.IsAbs(location) {
		return location, true
	}
	if u, err := url.Parse(location); err == nil && u.Scheme == "file" {
		return filepath.FromSlash(u.Path), true
	}
	return "", false
}

// redacted is location without a query, where some buckets take their secrets.
func redacted(location string) string {
	before, _, _ := strings.Cut(location, "?")
	return before
}

// Close releases the store.
func (s *Store) Close() error { return errors.Join(s.bucket.Close(), s.close()) }

// Put stores what r yields and returns its digest and length. The artifact
// appears whole or not at all; if it is there already, nothing changes.
func (s *Store) Put(ctx context.Context, r io.Reader) (Digest, int64, error) {
	d, n, err := s.put(ctx, r)
	if err != nil {
		return "", 0, fmt.Errorf("store artifact: %w", err)
	}
	return d, n, nil
}

// put stages r in a local file, because its name is known only at its end.
func (s *Store) put(ctx context.Context, r io.Reader) (Digest, int64, error) {
	f, err := s.stage()
	if err != nil {
		return "", 0, err
	}
	defer os.Remove(f.Name()) // of no effect once the file was renamed
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), contextReader{ctx, r})
	if err != nil {
		return "", 0, err
	}
	d := digestOf(h)
	there, err := s.Has(ctx, d)
	if err != nil || there {
		return d, n, err
	}
	return d, n, s.adopt(ctx, f, d.key())
}

// PutBytes stores b.
func (s *Store) PutBytes(ctx context.Context, b []byte) (Digest, error) {
	d, _, err := s.Put(ctx, bytes.NewReader(b))
	return d, err
}

// Has reports whether the store holds d.
func (s *Store) Has(ctx context.Context, d Digest) (bool, error) {
	if _, err := Parse(string(d)); err != nil {
		return false, err
	}
	if err := s.before(OpStat, d.key()); err != nil {
		return false, err
	}
	return s.bucket.Exists(ctx, d.key())
}

// Get opens an artifact. Its bytes are checked while they are read: where they
// are not those that d names, the last Read returns an error instead of io.EOF.
// The error satisfies fs.ErrNotExist if the store does not hold d.
func (s *Store) Get(ctx context.Context, d Digest) (io.ReadCloser, error) {
	if _, err := Parse(string(d)); err != nil {
		return nil, err
	}
	r, err := s.read(ctx, d.key())
	if err != nil {
		return nil, fmt.Errorf("artifact %s: %w", d, err)
	}
	return &checked{ReadCloser: r, want: d, hash: sha256.New()}, nil
}

// Bytes reads an artifact of at most limit bytes into memory.
func (s *Store) Bytes(ctx context.Context, d Digest, limit int64) ([]byte, error) {
	r, err := s.Get(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("artifact %s is longer than %d bytes", d, limit)
	}
	return b, nil
}

// ReaderAt opens an artifact for reading in any order and returns its size. The
// whole artifact is checked before it returns.
func (s *Store) ReaderAt(ctx context.Context, d Digest) (io.ReaderAt, int64, io.Closer, error) {
	r, err := s.Get(ctx, d)
	if err != nil {
		return nil, 0, nil, err
	}
	defer r.Close()
	f, err := s.local(d)
	if err != nil {
		return nil, 0, nil, fmt.Errorf("artifact %s: %w", d, err)
	}
	var to io.Writer = f
	if s.dir != "" {
		to = io.Discard // f is the artifact itself
	}
	n, err := io.Copy(to, r)
	if err != nil {
		f.Close()
		return nil, 0, nil, err
	}
	return f, n, f, nil
}

// local opens the file of an artifact in a local store, or else an empty file
// that vanishes when it is closed.
func (s *Store) local(d Digest) (*os.File, error) {
	if s.dir != "" {
		return os.Open(s.path(d.key()))
	}
	return s.unnamed()
}

// path is the file of key in a local store.
// File is where d lies if the store is a local directory, else "". It says
// nothing about whether d is there.
func (s *Store) File(d Digest) string {
	if s.dir == "" {
		return ""
	}
	return s.path(d.key())
}

func (s *Store) path(key string) string { return filepath.Join(s.dir, filepath.FromSlash(key)) }

func (s *Store) read(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := s.before(OpRead, key); err != nil {
		return nil, err
	}
	r, err := s.bucket.NewReader(ctx, key, nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, fmt.Errorf("not in the store: %w", fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}
