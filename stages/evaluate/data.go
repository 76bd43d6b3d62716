package evaluate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"

	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/window"
	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/schemas/parquetio"
)

// heldOut is the reference to the test split of the window trained on last.
const heldOut = "held-out"

// conversations finds the data that ref names: its digest, and its rows, which
// may be ranged over again.
func (s *Stage) conversations(ctx context.Context, store *artifact.Store, ref string) (string, iter.Seq2[schemas.TokenRow, error], error) {
	if ref == heldOut {
		digest, err := s.deps.Data.HeldOut(ctx)
		if err != nil {
			return "", nil, fmt.Errorf("held-out conversations: %w", missing(err))
		}
		ref = digest
	}
	digest, err := artifact.Parse(ref)
	if err != nil {
		return "", nil, pipeline.Park(fmt.Errorf("data %.200q: want %q or a digest: %w", ref, heldOut, err))
	}
	kind, err := kindOf(ctx, store, digest)
	if err != nil {
		return "", nil, fmt.Errorf("data %s: %w", digest, missing(err))
	}
	switch kind {
	case schemas.Tokens:
		return ref, tokenRows(ctx, store, digest), nil
	case aWindow:
		manifest, err := window.Load(ctx, store, digest)
		if err != nil {
			return "", nil, fmt.Errorf("data: %w", err)
		}
		rows, err := s.testSplit(ctx, store, manifest)
		return ref, rows, err
	case aFile, schemas.DialogueRaw, schemas.DialogueClean:
		return ref, s.deps.Data.Read(ctx, store, digest), nil
	}
	return "", nil, pipeline.Park(fmt.Errorf("data %s: a dataset of kind %q holds no conversations", digest, kind))
}

// testSplit is the part of a window that no training saw.
func (s *Stage) testSplit(ctx context.Context, store *artifact.Store, m *window.Manifest) (iter.Seq2[schemas.TokenRow, error], error) {
	if vocab := s.deps.Encoder.Digest(); m.Vocab != "" && m.Vocab != vocab {
		return nil, pipeline.Park(fmt.Errorf("the window was encoded with vocabulary %s and this process has %s: start it with the model the window was tokenized for", m.Vocab, vocab))
	}
	return m.Rows(ctx, store, window.Test), nil
}

// Artifacts that are no dataset.
const (
	aWindow schemas.Kind = "window"
	aFile   schemas.Kind = "file"
)

// kindOf tells datasets, window manifests and other files apart by how they
// begin.
func kindOf(ctx context.Context, store *artifact.Store, d artifact.Digest) (schemas.Kind, error) {
	const parquet, manifest = "PAR1", `{"version":1,"vocab":`
	r, size, closer, err := store.ReaderAt(ctx, d)
	if err != nil {
		return "", err
	}
	defer closer.Close()
	head := make([]byte, len(manifest))
	n, err := r.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	switch head = head[:n]; {
	case string(head) == manifest:
		return aWindow, nil
	case !bytes.HasPrefix(head, []byte(parquet)):
		return aFile, nil
	}
	meta, err := parquetio.Metadata(r, size)
	if err != nil {
		return "", pipeline.Park(err)
	}
	return schemas.Kind(meta[parquetio.KindKey]), nil
}

// tokenRows reads a tokens dataset.
func tokenRows(ctx context.Context, store *artifact.Store, d artifact.Digest) iter.Seq2[schemas.TokenRow, error] {
	return func(yield func(schemas.TokenRow, error) bool) {
		r, size, closer, err := store.ReaderAt(ctx, d)
		if err != nil {
			yield(schemas.TokenRow{}, err)
			return
		}
		defer closer.Close()
		for row, err := range parquetio.Read[schemas.TokenRow](r, size) {
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// checkRow reports why a row cannot be given to a model: rows may come from
// anybody.
func checkRow(row schemas.TokenRow, vocabulary int) error {
	if len(row.IDs) == 0 || len(row.IDs) != len(row.Labels) {
		return fmt.Errorf("conversation %q has %d ids and %d labels", row.ID, len(row.IDs), len(row.Labels))
	}
	for i, id := range row.IDs {
		label := row.Labels[i]
		if id < 0 || int(id) >= vocabulary || label != schemas.IgnoreLabel && (label < 0 || int(label) >= vocabulary) {
			return fmt.Errorf("conversation %q has id %d and label %d at position %d, outside the vocabulary of %d: it was encoded with another tokenizer",
				row.ID, id, label, i, vocabulary)
		}
	}
	return nil
}

// missing parks the error of what does not exist: waiting would not bring it.
func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return pipeline.Park(err)
	}
	return err
}

// vocabulary is the number of ids in use.
func (s *Stage) vocabulary() int { return tokenizer.Size(s.deps.Encoder.Pieces()) }
