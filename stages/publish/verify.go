package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/lineage"
	"github.com/glmflow/glmflow/schemas"
)

// maxLineage bounds the envelope of a release: a statement of some thousand files.
const maxLineage = 16 << 20

// Verify checks a release in the store: that a trusted key signed its statement,
// that the statement is about this release, and that every file is there and
// unaltered. Trusted are public keys as lineage.Key.Public returns them. It
// returns the statement and who signed it.
func Verify(ctx context.Context, store *artifact.Store, release schemas.ReleaseRow, trusted ...string) (lineage.Statement, string, error) {
	s, signer, err := verify(ctx, store, release, trusted)
	if err != nil {
		return s, signer, fmt.Errorf("%s:%d: %w", release.Name, release.Version, err)
	}
	return s, signer, nil
}

func verify(ctx context.Context, store *artifact.Store, release schemas.ReleaseRow, trusted []string) (lineage.Statement, string, error) {
	envelope, err := store.Bytes(ctx, artifact.Digest(release.Manifest), maxLineage)
	if err != nil {
		return lineage.Statement{}, "", err
	}
	s, signer, err := lineage.Verify(ctx, envelope, trusted...)
	if err != nil {
		return s, signer, err
	}
	if err := about(s.Predicate, release); err != nil {
		return s, signer, err
	}
	files, err := store.Tree(ctx, artifact.Digest(release.Files))
	if err != nil {
		return s, signer, err
	}
	var names []string
	digests := make(map[string]artifact.Digest)
	for _, f := range files {
		if f.Path == LineageFile {
			if string(f.Digest) != release.Manifest {
				return s, signer, fmt.Errorf("%s is not the release's own statement", LineageFile)
			}
			continue
		}
		names = append(names, f.Path)
		digests[f.Path] = f.Digest
	}
	return s, signer, s.Check(names, func(name string) (io.ReadCloser, error) { return store.Get(ctx, digests[name]) })
}

// about reports where a statement and a release name different things.
func about(p lineage.Predicate, r schemas.ReleaseRow) error {
	var errs []error
	for _, pair := range []struct{ what, stated, released string }{
		{"name", p.Name, r.Name},
		{"version", fmt.Sprint(p.Version), fmt.Sprint(r.Version)},
		{"base", p.Base, r.Base},
		{"adapter", p.Adapter, r.Adapter},
		{"window", p.Window, r.Window},
		{"score", p.Evaluation.Score, r.Score},
		{"verdict", fmt.Sprint(p.Evaluation.Passed), fmt.Sprint(r.Passed)},
	} {
		if pair.stated != pair.released {
			errs = append(errs, fmt.Errorf("the signed statement names the %s %s, the release %s", pair.what, pair.stated, pair.released))
		}
	}
	return errors.Join(errs...)
}

// VerifyDir checks a release that was copied out of the store into dir.
func VerifyDir(ctx context.Context, dir fs.FS, trusted ...string) (lineage.Statement, string, error) {
	envelope, err := readFile(dir, LineageFile, maxLineage)
	if err != nil {
		return lineage.Statement{}, "", fmt.Errorf("not a release: %w", err)
	}
	s, signer, err := lineage.Verify(ctx, envelope, trusted...)
	if err != nil {
		return s, signer, err
	}
	var names []string
	err = fs.WalkDir(dir, ".", func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && path != LineageFile {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		return s, signer, err
	}
	return s, signer, s.Check(names, func(name string) (io.ReadCloser, error) { return dir.Open(name) })
}

// readFile reads a file of at most limit bytes.
func readFile(dir fs.FS, name string, limit int64) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = fmt.Errorf("%s is longer than %d bytes", name, limit)
	}
	return body, err
}
