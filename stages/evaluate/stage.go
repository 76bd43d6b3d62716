package evaluate

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/finetune"
	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/window"
	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/stages/evaluate/metrics"
)

// Stage is the evaluate stage. Make one with [New].
type Stage struct {
	config Config
	deps   Deps
	words  func() (metrics.Segment, error) // loads the dictionary once
}

// New returns the stage, or what is wrong with its configuration.
func New(config Config, deps Deps) (*Stage, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("evaluate: %w", err)
	}
	if deps.Models == nil || deps.Data == nil || deps.Encoder == nil {
		return nil, errors.New("evaluate: models, data and encoder are all needed")
	}
	return &Stage{config, deps, sync.OnceValues(metrics.NewWords)}, nil
}

// Spec describes the stage.
func (s *Stage) Spec() pipeline.Spec {
	return pipeline.Spec{
		Name:  "evaluate",
		About: "compare a candidate with what it would replace, on held-out conversations",
		In:    []schemas.Kind{schemas.Adapter, schemas.EvalRequest},
		Out:   []schemas.Kind{schemas.Score},
		Lease: 10 * time.Minute, // opening a large model gives no sign of life
		Holds: "device",
	}
}

// Run scores an adapter, or answers a request.
func (s *Stage) Run(ctx context.Context, job *pipeline.Job) error {
	if job.Event().Type == schemas.EvalRequest {
		return s.answerRequest(ctx, job)
	}
	c, err := s.afterTraining(ctx, job)
	if err != nil {
		return err
	}
	row, err := s.evaluate(ctx, job, c)
	if err != nil {
		return err
	}
	return pipeline.Emit(job, schemas.Score, row)
}

// A comparison is one evaluation to be made.
type comparison struct {
	models   [2]Ref // by side
	adapter  *schemas.AdapterRow
	data     string // digest of the manifest or dataset
	rows     iter.Seq2[schemas.TokenRow, error]
	generate int
}

// afterTraining holds the adapter of the event against the current production,
// on the test split of its own window.
func (s *Stage) afterTraining(ctx context.Context, job *pipeline.Job) (c comparison, err error) {
	adapter, err := onlyAdapter(job)
	if err != nil {
		return c, err
	}
	manifest, err := window.Load(ctx, job.Store(), artifact.Digest(adapter.Window))
	if err != nil {
		return c, missing(err)
	}
	if c.rows, err = s.testSplit(ctx, job.Store(), manifest); err != nil {
		return c, err
	}
	if c.models[candidate], err = s.trained(ctx, job.Store(), adapter); err != nil {
		return c, err
	}
	if c.models[baseline], err = s.current(ctx, adapter.Name); err != nil {
		return c, err
	}
	c.adapter, c.data, c.generate = &adapter, adapter.Window, s.config.Generate
	return c, nil
}

func onlyAdapter(job *pipeline.Job) (schemas.AdapterRow, error) {
	var rows []schemas.AdapterRow
	for row, err := range pipeline.Rows[schemas.AdapterRow](job) {
		if err != nil {
			return schemas.AdapterRow{}, err
		}
		if rows = append(rows, row); len(rows) > 1 {
			break
		}
	}
	if len(rows) != 1 {
		return schemas.AdapterRow{}, pipeline.Park(errors.New("an adapter dataset has to have exactly one row"))
	}
	return rows[0], nil
}

// trained is the model that a training left behind.
func (s *Stage) trained(ctx context.Context, store *artifact.Store, a schemas.AdapterRow) (Ref, error) {
	files, err := artifact.Parse(a.Files)
	if err != nil {
		return Ref{}, pipeline.Park(fmt.Errorf("files of the adapter: %w", err))
	}
	dir, err := store.Checkout(ctx, files)
	if err != nil {
		return Ref{}, fmt.Errorf("files of the adapter: %w", missing(err))
	}
	ref := Ref{Name: "adapter " + a.Files, Dir: dir}
	if !finetune.Whole(a.Method) {
		ref.Adapter = dir
		if ref.Dir, err = s.deps.Models.Base(ctx, a.Base); err != nil {
			return Ref{}, fmt.Errorf("base of the adapter: %w", missing(err))
		}
	}
	return ref, nil
}

// current is what production names, or the base model while it names nothing.
func (s *Stage) current(ctx context.Context, name string) (Ref, error) {
	ref, err := s.deps.Models.Resolve(ctx, name+"@"+schemas.AliasProduction)
	if notExist(err) {
		ref, err = s.deps.Models.Resolve(ctx, "")
	}
	if err != nil {
		return Ref{}, fmt.Errorf("baseline: %w", missing(err))
	}
	return ref, nil
}

// evaluate measures both models, the baseline first, and writes the score.
func (s *Stage) evaluate(ctx context.Context, job *pipeline.Job, c comparison) (schemas.ScoreRow, error) {
	e := &evaluation{
		Stage: s, job: job, rows: c.rows,
		picker: picker{n: c.generate, seed: s.config.Seed},
	}
	var open opened
	defer open.close()
	for who, ref := range c.models {
		job.Report(pipeline.Progress{Message: fmt.Sprintf("opening the %s, %s", side(who), ref.Name)})
		m, err := open.switchTo(ctx, s.deps.Models, ref)
		if err != nil {
			return schemas.ScoreRow{}, fmt.Errorf("open %s %s: %w", side(who), ref.Name, err)
		}
		if err := e.measure(ctx, side(who), m); err != nil {
			return schemas.ScoreRow{}, err
		}
	}
	row, err := e.score()
	if err != nil {
		return schemas.ScoreRow{}, err
	}
	row.Candidate, row.Baseline = c.models[candidate].Name, c.models[baseline].Name
	row.Adapter, row.Data = c.adapter, c.data
	job.Log().Info("evaluated", "candidate", row.Candidate, "baseline", row.Baseline, "rows", row.Rows, "passed", row.Passed)
	return row, nil
}

// opened is the one model that is in memory.
type opened struct {
	ref   Ref
	model *chatglm.Model
}

// switchTo makes ref the open model. Where only the adapter differs the weights
// stay.
func (o *opened) switchTo(ctx context.Context, models Models, ref Ref) (*chatglm.Model, error) {
	if o.model != nil && o.ref.Dir != ref.Dir {
		o.close()
	}
	if o.model == nil {
		m, err := models.Open(ctx, ref.Dir)
		if err != nil {
			return nil, err
		}
		o.model = m
	}
	before := o.ref.Adapter
	o.ref = ref
	if ref.Adapter != "" {
		return o.model, o.model.LoadAdapter(ref.Adapter)
	}
	if before != "" {
		o.model.RemoveAdapters()
	}
	return o.model, nil
}

func (o *opened) close() {
	if o.model != nil {
		o.model.Close()
		o.model = nil
	}
}
