package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/lineage"
	"github.com/glmflow/glmflow/pipeline/window"
	"github.com/glmflow/glmflow/schemas"
)

// Files that a release has beside those of its adapter.
const (
	CardFile    = "README.md"         // the model card
	CurveFile   = "loss.svg"          // the loss curve, which the card shows
	LineageFile = "lineage.dsse.json" // the signed statement
)

// A candidate is a score and what its release is called.
type candidate struct {
	schemas.ScoreRow
	version int64
	digest  string // of the score's dataset
	window  *window.Manifest
}

// release stores the release's files and returns its row, promoted to nothing.
func (c candidate) release(ctx context.Context, store *artifact.Store, key *lineage.Key) (schemas.ReleaseRow, error) {
	a := c.Adapter
	var row schemas.ReleaseRow
	for what, digest := range map[string]string{"adapter": a.Files, "window": a.Window} {
		if _, err := artifact.Parse(digest); err != nil {
			return row, pipeline.Park(fmt.Errorf("%s of the candidate: %w", what, err))
		}
	}
	var err error
	if c.window, err = window.Load(ctx, store, artifact.Digest(a.Window)); err != nil {
		return row, err
	}
	adapter, err := store.Tree(ctx, artifact.Digest(a.Files))
	if err != nil {
		return row, fmt.Errorf("files of the candidate: %w", err)
	}
	files := slices.DeleteFunc(slices.Clone(adapter), func(f artifact.File) bool {
		return f.Path == CardFile || f.Path == CurveFile || f.Path == LineageFile // ours take their place
	})
	card, err := c.card()
	if err != nil {
		return row, pipeline.Park(fmt.Errorf("model card: %w", err))
	}
	if files, err = add(ctx, store, files, CardFile, card); err != nil {
		return row, err
	}
	if files, err = add(ctx, store, files, CurveFile, curve(a.Curve, a.BestStep)); err != nil {
		return row, err
	}
	envelope, err := c.sign(ctx, files, key)
	if err != nil {
		return row, pipeline.Park(err)
	}
	if files, err = add(ctx, store, files, LineageFile, envelope); err != nil {
		return row, err
	}
	tree, err := store.PutFiles(ctx, files)
	if err != nil {
		return row, err
	}
	row = schemas.ReleaseRow{
		Name: a.Name, Version: c.version, Files: string(tree), Adapter: a.Files, Base: a.Base, Window: a.Window,
		Score: c.digest, Passed: c.Passed, Manifest: string(artifact.Of(envelope)),
	}
	for _, rule := range c.Rules {
		if !rule.Passed {
			row.Failed = append(row.Failed, rule.Rule)
		}
	}
	return row, nil
}

// add stores body and lists it under name.
func add(ctx context.Context, store *artifact.Store, files []artifact.File, name string, body []byte) ([]artifact.File, error) {
	digest, err := store.PutBytes(ctx, body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return append(files, artifact.File{Path: name, Digest: digest, Bytes: int64(len(body))}), nil
}

// sign states where the files come from.
func (c candidate) sign(ctx context.Context, files []artifact.File, key *lineage.Key) ([]byte, error) {
	a := c.Adapter
	p := lineage.Predicate{
		Name: a.Name, Version: c.version, Base: a.Base, Parent: a.Parent, Adapter: a.Files, Window: a.Window,
		Rows: map[string]int64{}, Method: a.Method, Seed: a.Seed, Device: a.Device, Steps: a.Steps, BestStep: a.BestStep,
		Evaluation: lineage.Evaluation{
			Score: c.digest, Data: c.Data, Baseline: c.Baseline, Metrics: c.Metrics, Rules: c.Rules, Passed: c.Passed,
		},
	}
	if json.Valid([]byte(a.Config)) {
		p.Config = json.RawMessage(a.Config)
	}
	for _, part := range c.window.Parts {
		p.Rows[string(part.Split)] = part.Rows
	}
	digests := make(map[string]string, len(files))
	for _, f := range files {
		digests[f.Path] = string(f.Digest)
	}
	statement, err := lineage.NewStatement(p, digests)
	if err != nil {
		return nil, err
	}
	return lineage.Sign(ctx, statement, key)
}
