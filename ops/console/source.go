package console

import (
	"context"

	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/schemas"
)

// A Source is what the console shows. Its methods may be called concurrently,
// and are called again each time an open page is brought up to date.
type Source interface {
	// Queues tells of every stage, in the order of the flow.
	Queues(ctx context.Context) ([]Queue, error)
	// Runs lists the runs, newest first.
	Runs() []ledger.Run
	Run(id string) (ledger.Run, bool)
	Models() []ledger.Model
	// Model returns a model; one without history has neither versions nor
	// entries.
	Model(name string) ledger.Model
	// Curve is the loss curve of a run as far as it is known, by step.
	Curve(ctx context.Context, run string) ([]schemas.Point, error)
	// Score reads the one row of a score dataset.
	Score(ctx context.Context, d schemas.Dataset) (schemas.ScoreRow, error)
	// Changed is closed at the next change of anything above.
	Changed() <-chan struct{}
}

// A Queue is one stage and the work before it.
type Queue struct {
	Name    string   // "clean"
	About   string   // one line
	In, Out []string // kinds
	Waiting uint64   // jobs nobody has taken
	Working uint64   // jobs taken and not finished
	Retried uint64   // jobs delivered more than once, not finished
	Done    int64    // jobs finished
	Parked  int64    // dead letters
	Here    bool     // whether this process serves the stage
}
