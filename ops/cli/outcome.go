package cli

import (
	"context"
	"fmt"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/schemas"
)

// An outcome is what a run made, as far as it came.
type outcome struct {
	Adapter *schemas.AdapterRow `json:"adapter,omitempty"`
	Score   *schemas.ScoreRow   `json:"score,omitempty"`
}

// outcomeOf reads the rows that run's outputs refer to.
func outcomeOf(ctx context.Context, a *app.App, run ledger.Run) (o outcome, err error) {
	for _, output := range run.Outputs {
		switch output.Dataset.Kind {
		case schemas.Adapter:
			o.Adapter, err = single[schemas.AdapterRow](ctx, a, output.Dataset)
		case schemas.Score:
			o.Score, err = single[schemas.ScoreRow](ctx, a, output.Dataset)
		}
		if err != nil {
			return o, err
		}
	}
	return o, nil
}

// single reads a dataset of one row.
func single[T any](ctx context.Context, a *app.App, d schemas.Dataset) (*T, error) {
	for row, err := range pipeline.RowsOf[T](ctx, a.Store, d) {
		return &row, err
	}
	return nil, fmt.Errorf("%s dataset %s has no row", d.Kind, shortDigest(d.Digest))
}

// has reports whether a run has made a dataset of that kind.
func has(run ledger.Run, kind schemas.Kind) bool {
	for _, o := range run.Outputs {
		if o.Dataset.Kind == kind {
			return true
		}
	}
	return false
}
