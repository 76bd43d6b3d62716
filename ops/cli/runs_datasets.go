package cli

import (
	"context"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/term"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/schemas"
)

// A dataset is what a stage made in a run.
type dataset struct {
	Kind   schemas.Kind `json:"kind"`
	Rows   int64        `json:"rows"`
	Bytes  int64        `json:"bytes"`
	Digest string       `json:"digest"`
	File   string       `json:"file,omitempty"` // where the artifact store is a directory
}

// datasetsOf lists what a run made, in the order in which it became visible.
func datasetsOf(ctx context.Context, a *app.App, run string) ([]dataset, error) {
	var made []dataset
	for ev, err := range a.Ledger.Events(ctx, run) {
		if err != nil {
			return nil, err
		}
		if !ev.Type.IsData() {
			continue
		}
		var d schemas.Dataset
		if err := ev.Decode(&d); err != nil {
			return nil, err
		}
		made = append(made, dataset{d.Kind, d.Rows, d.Bytes, d.Digest, a.Store.File(artifact.Digest(d.Digest))})
	}
	return made, nil
}

// writeDatasets lists what a run made, each with its file to copy, or its digest
// where files are elsewhere.
func writeDatasets(ctx context.Context, a *app.App, s *term.Screen, run string) error {
	made, err := datasetsOf(ctx, a, run)
	if err != nil {
		return err
	}
	if len(made) == 0 {
		say(s.W, "run %s made no datasets", shortID(run))
		return nil
	}
	for _, d := range made {
		place := d.File
		if place == "" {
			place = d.Digest
		}
		say(s.W, "%s, %s, %s\n    %s", d.Kind, count(int(d.Rows), "row"), byteSize(d.Bytes), place)
	}
	return nil
}
