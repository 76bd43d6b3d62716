package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"

	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/schemas/parquetio"
	"github.com/glmflow/glmflow/stages/evaluate"
	"github.com/glmflow/glmflow/stages/ingest"
	"github.com/glmflow/glmflow/stages/tokenize"
)

// conversations finds what an evaluation request names beside windows: it reads
// uploaded files as ingest does and encodes them as tokenize does.
type conversations struct {
	model   string
	ledger  *ledger.Ledger
	encode  *tokenize.Stage
	reading ingest.Config
}

var _ evaluate.Data = (*conversations)(nil)

// HeldOut implements [evaluate.Data].
func (c *conversations) HeldOut(ctx context.Context) (string, error) {
	model, err := c.ledger.Current(ctx, c.model)
	if err != nil {
		return "", err
	}
	if n := len(model.Versions); n > 0 {
		return model.Versions[n-1].Window, nil
	}
	return "", fmt.Errorf("model %s has no version yet, so no window was held out: %w", c.model, fs.ErrNotExist)
}

// Read implements [evaluate.Data].
func (c *conversations) Read(ctx context.Context, store *artifact.Store, d artifact.Digest) iter.Seq2[schemas.TokenRow, error] {
	return func(yield func(schemas.TokenRow, error) bool) {
		r, size, closer, err := store.ReaderAt(ctx, d)
		if err != nil {
			yield(schemas.TokenRow{}, err)
			return
		}
		defer closer.Close()
		var magic [4]byte
		if _, err := r.ReadAt(magic[:], 0); err == nil && string(magic[:]) == "PAR1" {
			for dialogue, err := range parquetio.Read[schemas.Dialogue](r, size) {
				if err != nil {
					yield(schemas.TokenRow{}, err)
					return
				}
				if !c.yield(dialogue, yield) {
					return
				}
			}
			return
		}
		err = ingest.Read(io.NewSectionReader(r, 0, size), string(d), nil, c.reading, func(dialogue schemas.Dialogue) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if !c.yield(dialogue, yield) {
				return errStop
			}
			return nil
		}, func(schemas.Reject) error { return nil })
		if err != nil && !errors.Is(err, errStop) {
			yield(schemas.TokenRow{}, err)
		}
	}
}

// yield passes a conversation on unless it holds nothing to score.
func (c *conversations) yield(d schemas.Dialogue, yield func(schemas.TokenRow, error) bool) bool {
	row, reject := c.encode.Encode(d)
	return reject != nil || yield(row, nil)
}

var errStop = errors.New("stop")
