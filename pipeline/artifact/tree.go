package artifact

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxManifest bounds the manifest of a tree: some hundred thousand files.
const maxManifest = 64 << 20

// A File is one entry of a tree.
type File struct {
	Path   string `json:"path"` // slash-separated, relative, clean
	Digest Digest `json:"digest"`
	Bytes  int64  `json:"bytes"`
}

type manifest struct {
	Files []File `json:"files"`
}

// PutTree stores the regular files of dir and a manifest of them, and returns
// the manifest's digest, which names the tree: equal directories have equal
// digests. Anything but files and directories is an error.
func (s *Store) PutTree(ctx context.Context, dir fs.FS) (Digest, error) {
	text, err := manifestOf(dir, func(r io.Reader) (Digest, int64, error) { return s.Put(ctx, r) })
	if err != nil {
		return "", fmt.Errorf("store tree: %w", err)
	}
	return s.PutBytes(ctx, text)
}

// OfTree returns the digest that [Store.PutTree] would give dir, and stores
// nothing: the name of a directory that stays where it is.
func OfTree(ctx context.Context, dir fs.FS) (Digest, error) {
	text, err := manifestOf(dir, func(r io.Reader) (Digest, int64, error) {
		if err := ctx.Err(); err != nil {
			return "", 0, err
		}
		h := sha256.New()
		n, err := io.Copy(h, r)
		return digestOf(h), n, err
	})
	if err != nil {
		return "", fmt.Errorf("digest of tree: %w", err)
	}
	return Of(text), nil
}

// manifestOf calls put with each file of dir and writes down what it returns.
func manifestOf(dir fs.FS, put func(io.Reader) (Digest, int64, error)) ([]byte, error) {
	var m manifest
	err := fs.WalkDir(dir, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if !e.Type().IsRegular() {
			return fmt.Errorf("%s is neither a file nor a directory", path)
		}
		f, err := dir.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		d, n, err := put(f)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		m.Files = append(m.Files, File{Path: path, Digest: d, Bytes: n})
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(m.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	text, err := json.Marshal(m)
	return append(text, '\n'), err
}

// Tree lists the files of a tree, sorted by path.
func (s *Store) Tree(ctx context.Context, d Digest) ([]File, error) {
	text, err := s.Bytes(ctx, d, maxManifest)
	if err != nil {
		return nil, err
	}
	files, err := parseManifest(text)
	if err != nil {
		return nil, fmt.Errorf("artifact %s is no tree: %w", d, err)
	}
	return files, nil
}

func parseManifest(text []byte) ([]File, error) {
	var m manifest
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return nil, err
	}
	for i, f := range m.Files {
		if !fs.ValidPath(f.Path) || f.Path == "." || !filepath.IsLocal(filepath.FromSlash(f.Path)) {
			return nil, fmt.Errorf("%q is no path inside a directory", f.Path)
		}
		if i > 0 && m.Files[i-1].Path >= f.Path {
			return nil, fmt.Errorf("%q stands out of order", f.Path)
		}
		if _, err := Parse(string(f.Digest)); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return m.Files, nil
}

// Checkout materialises a tree in the local cache and returns its directory. The
// files are checked while they are copied; they may be shared with the store and
// must not be changed. A tree that is there already costs nothing, and several
// processes may check out the same one at once.
func (s *Store) Checkout(ctx context.Context, d Digest) (string, error) {
	if _, err := Parse(string(d)); err != nil {
		return "", err
	}
	dir := filepath.Join(s.cache, d.Hex())
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	files, err := s.Tree(ctx, d)
	if err != nil {
		return "", err
	}
	err = s.materialise(ctx, files, dir, s.linkOut)
	if _, there := os.Stat(dir); err != nil && there == nil {
		return dir, nil // another process was faster
	}
	if err != nil {
		return "", fmt.Errorf("check out %s: %w", d, err)
	}
	return dir, nil
}

// Export copies a tree to dir, which is created and must be empty if it is
// there. The files are checked while they are copied, and the caller's to keep.
func (s *Store) Export(ctx context.Context, d Digest, dir string) error {
	files, err := s.Tree(ctx, d)
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		return fmt.Errorf("%s holds something already: name a directory that is new", dir)
	}
	if err := s.materialise(ctx, files, dir, s.copyOut); err != nil {
		return fmt.Errorf("export %s: %w", d, err)
	}
	return nil
}

// materialise puts files into a temporary directory beside dir and renames it
// to dir, which is never seen half full.
func (s *Store) materialise(ctx context.Context, files []File, dir string, put func(context.Context, Digest, string) error) error {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(parent, "unfinished-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) // of no effect once it was renamed
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		to := filepath.Join(tmp, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := put(ctx, f.Digest, to); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return os.Rename(tmp, dir)
}

// linkOut makes the file to one with artifact d where the store is a directory
// on the same disk, since a base model of 12 GB need not lie there twice, and
// copies it elsewhere.
func (s *Store) linkOut(ctx context.Context, d Digest, to string) error {
	if s.dir == "" || os.Link(s.path(d.key()), to) != nil {
		return s.copyOut(ctx, d, to)
	}
	r, err := s.Get(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, contextReader{ctx, r})
	return err
}

// copyOut writes artifact d to the file to.
func (s *Store) copyOut(ctx context.Context, d Digest, to string) error {
	r, err := s.Get(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, contextReader{ctx, r})
	return errors.Join(err, f.Close())
}
