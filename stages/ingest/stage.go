package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/schemas"
)

const stageName = "ingest"

// Stage reads uploaded files. See the package comment.
type Stage struct{ c Config }

// New returns the stage.
func New(c Config) (*Stage, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Stage{c}, nil
}

// Spec implements [pipeline.Stage].
func (s *Stage) Spec() pipeline.Spec {
	return pipeline.Spec{
		Name: stageName, About: "reads customer logs and makes conversations of them",
		In:      []schemas.Kind{schemas.IngestRequest},
		Out:     []schemas.Kind{schemas.DialogueRaw, schemas.DialogueReject},
		Workers: 2,
	}
}

// Run implements [pipeline.Stage].
func (s *Stage) Run(ctx context.Context, job *pipeline.Job) error {
	var order schemas.IngestOrder
	if err := job.Event().Decode(&order); err != nil {
		return pipeline.Park(err)
	}
	container, layout, mapping, err := parseOrder(order)
	if err != nil {
		return pipeline.Park(err)
	}
	out := newShards(job, s.c.ShardRows)
	seen := make(map[string]string)
	for i, source := range order.Sources {
		f := &file{c: s.c, container: container, layout: layout, mapping: mapping, source: source, out: out}
		first, again := seen[source.Digest]
		switch {
		case !fs.ValidPath(source.Name):
			err = f.refuse(&problem{rule: ruleUnsafeName, reason: "its name leaves the ingested directory"})
		case again:
			err = f.refuse(&problem{rule: ruleDuplicateFile, reason: "it has the same bytes as " + first})
		default:
			seen[source.Digest] = source.Name
			err = s.readSource(ctx, job.Store(), f)
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", source.Name, err)
		}
		job.Report(pipeline.Progress{Done: int64(i + 1), Total: int64(len(order.Sources)), Unit: "files", Message: source.Name})
	}
	return out.close()
}

// parseOrder checks what an order asks for.
func parseOrder(order schemas.IngestOrder) (container, layout string, m *Mapping, err error) {
	if len(order.Sources) == 0 {
		return "", "", nil, errors.New("the order names no source")
	}
	for _, source := range order.Sources {
		if _, err := artifact.Parse(source.Digest); err != nil {
			return "", "", nil, fmt.Errorf("source %q: %w", source.Name, err)
		}
	}
	switch {
	case order.Format == "":
	case slices.Contains(containers(), order.Format):
		container = order.Format
	case slices.Contains(layoutNames(), order.Format):
		layout = order.Format
	default:
		return "", "", nil, fmt.Errorf("format %q is unknown, want one of %v", order.Format, Formats())
	}
	if order.Mapping != "" {
		m, err = ParseMapping(order.Mapping)
	}
	return container, layout, m, err
}

// readSource opens a source and reads it.
func (s *Stage) readSource(ctx context.Context, store *artifact.Store, f *file) (err error) {
	r, err := store.Get(ctx, artifact.Digest(f.source.Digest))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return f.read(&attentive{ctx, r})
}

// attentive is a reader that ends when its context does.
type attentive struct {
	ctx context.Context
	r   io.Reader
}

func (a *attentive) Read(p []byte) (int, error) {
	if err := a.ctx.Err(); err != nil {
		return 0, err
	}
	return a.r.Read(p)
}
