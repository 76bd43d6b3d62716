package window

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/schemas/parquetio"
)

// A Split is one of the three parts of a window.
type Split string

// The splits, in the order in which a manifest lists them.
const (
	Train      Split = "train"      // what the weights are fitted to
	Validation Split = "validation" // what picks the best step
	Test       Split = "test"       // what the verdict is based on; nothing is chosen by it
)

// A Manifest names the rows of a window. It is an artifact, canonical JSON, and
// its digest is the window's name. It depends on the rows, the earlier windows
// and the configuration, and on nothing else: not even on how many copies of its
// rows there were, since some of them are dropped before they come here.
type Manifest struct {
	Version int      `json:"version"` // 1
	Vocab   string   `json:"vocab"`   // vocabulary in which the rows are encoded, as their datasets say
	Key     string   `json:"key"`     // key of the split hash
	Parts   []Part   `json:"parts"`   // one a split, in the order train, validation, test
	Against []string `json:"against"` // digests of the windows whose rows count as published, oldest first
}

// A Part is one split of a window.
type Part struct {
	Split   Split  `json:"split"`
	Members string `json:"members"` // digest of a Parquet file of tokens rows, in canonical order
	Rows    int64  `json:"rows"`
	Tokens  int64  `json:"tokens"`
	Targets int64  `json:"targets"` // supervised tokens
}

// maxManifest bounds what Load reads. A manifest takes 74 bytes a window that it
// was compared with, and two kilobytes for the rest.
const maxManifest = 4 << 20

// Load reads a window's manifest.
func Load(ctx context.Context, store *artifact.Store, digest artifact.Digest) (*Manifest, error) {
	body, err := store.Bytes(ctx, digest, maxManifest)
	if err != nil {
		return nil, fmt.Errorf("window manifest: %w", err)
	}
	var m Manifest
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		return nil, fmt.Errorf("%s is no window manifest: %w", digest, err)
	}
	if m.Version != 1 {
		return nil, fmt.Errorf("window manifest %s has version %d: this program reads version 1", digest, m.Version)
	}
	return &m, nil
}

// store writes m and returns its digest.
func (m *Manifest) store(ctx context.Context, store *artifact.Store) (artifact.Digest, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	return store.PutBytes(ctx, append(body, '\n'))
}

// Part returns a split; it is empty if the window has none.
func (m *Manifest) Part(split Split) Part {
	for _, p := range m.Parts {
		if p.Split == split {
			return p
		}
	}
	return Part{Split: split}
}

// Rows yields the rows of a split in canonical order: ascending by id.
func (m *Manifest) Rows(ctx context.Context, store *artifact.Store, split Split) iter.Seq2[schemas.TokenRow, error] {
	return read[schemas.TokenRow](ctx, store, m.Part(split).Members)
}

// fingerprint is what the near-duplicate memory needs of a row. The members of
// a window are its memory: Parquet reads these two columns alone.
type fingerprint struct {
	ID        string   `parquet:"id"`
	Signature []uint32 `parquet:"signature,list"`
}

// fingerprints yields those of all splits.
func (m *Manifest) fingerprints(ctx context.Context, store *artifact.Store) iter.Seq2[fingerprint, error] {
	return func(yield func(fingerprint, error) bool) {
		for _, part := range m.Parts {
			for f, err := range read[fingerprint](ctx, store, part.Members) {
				if !yield(f, err) || err != nil {
					return
				}
			}
		}
	}
}

// read yields the rows of a Parquet artifact; those of none are no rows.
func read[T any](ctx context.Context, store *artifact.Store, digest string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		if digest == "" {
			return
		}
		r, size, closer, err := store.ReaderAt(ctx, artifact.Digest(digest))
		if err != nil {
			yield(none, err)
			return
		}
		defer closer.Close()
		for row, err := range parquetio.Read[T](r, size) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(none, fmt.Errorf("rows %s: %w", digest, err))
				return
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}
