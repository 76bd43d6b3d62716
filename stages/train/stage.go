package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/finetune"
	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/schemas"
)

// Models says what there is to start from.
type Models interface {
	// Base is the base model: a local directory and the digest of its tree.
	Base() (dir string, digest artifact.Digest)
	// Production is the release in production under a model's name; ok is
	// false when there is none.
	Production(ctx context.Context, model string) (release schemas.ReleaseRow, ok bool, err error)
}

// Deps are what the stage needs besides its jobs.
type Deps struct {
	Device device.Device // used while a job runs, under the lock named "device"
	Models Models
}

// Stage fine-tunes ChatGLM3 on windows.
type Stage struct {
	config Config
	deps   Deps
}

var _ pipeline.Stage = (*Stage)(nil)

// New returns the stage, or what is wrong with its configuration.
func New(c Config, d Deps) (*Stage, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	if d.Device == nil || d.Models == nil {
		return nil, errors.New("train: want a device and models")
	}
	return &Stage{config: c, deps: d}, nil
}

// Spec implements [pipeline.Stage].
func (s *Stage) Spec() pipeline.Spec {
	return pipeline.Spec{
		Name:  "train",
		About: "fine-tunes ChatGLM3 on one window of conversations",
		In:    []schemas.Kind{schemas.TrainDue},
		Out:   []schemas.Kind{schemas.Adapter},
		Lease: s.config.Lease,
		Holds: "device",
	}
}

// Run implements [pipeline.Stage].
func (s *Stage) Run(ctx context.Context, job *pipeline.Job) error {
	var order schemas.TrainJob
	if err := job.Event().Decode(&order); err != nil {
		return pipeline.Park(err)
	}
	base, baseDigest := s.deps.Models.Base()
	data, err := readWindow(ctx, job.Store(), order.Window, base)
	if err != nil {
		return err
	}
	from, err := s.start(ctx, job, order.Model, string(baseDigest))
	if err != nil {
		return err
	}
	dir, adapter, err := s.place(ctx, job, base, from)
	if err != nil {
		return err
	}
	model, err := s.open(dir, adapter, data)
	if hopeless(err) {
		return pipeline.Park(err)
	}
	if err != nil {
		return err
	}
	defer model.Close()
	scratch, err := job.Store().Scratch()
	if err != nil {
		return err
	}
	p := newProgress(job)
	result, err := finetune.Run(ctx, model, data.train, data.validation, s.config.Options, finetune.Hooks{
		OnStep:    p.step,
		Heartbeat: p.heartbeat,
		State:     job.State(),
		Scratch:   scratch,
		// The state is the job's own: what an earlier delivery saved under another
		// configuration is of no use any more.
		Overwrite: true,
		Now:       job.Now,
		Base:      from.Base + " " + from.Parent,
		Log:       job.Log(),
	})
	if hopeless(err) {
		return pipeline.Park(err)
	}
	if err != nil {
		return err
	}
	files, err := s.files(ctx, job, model, base, from)
	if err != nil {
		return err
	}
	row, err := s.row(order, from, files, result)
	if err != nil {
		return err
	}
	job.Log().Info("trained", "steps", result.Steps, "best_step", result.BestStep, "files", files)
	return pipeline.Emit(job, schemas.Adapter, row)
}

// hopeless reports an error that comes again however often the job is tried.
func hopeless(err error) bool {
	var tight *finetune.DoesNotFitError
	return errors.As(err, &tight) || errors.Is(err, finetune.ErrDiverged) || errors.Is(err, finetune.ErrNoTargets) || errors.Is(err, chatglm.ErrNotFinite)
}

// row describes what came of a job.
func (s *Stage) row(order schemas.TrainJob, from start, files artifact.Digest, r finetune.Result) (schemas.AdapterRow, error) {
	config, err := json.Marshal(s.config.Options)
	if err != nil {
		return schemas.AdapterRow{}, err
	}
	row := schemas.AdapterRow{
		Name:      order.Model,
		Method:    s.config.Method,
		Files:     string(files),
		Base:      from.Base,
		Parent:    from.Parent,
		Window:    order.Window,
		Config:    string(config),
		Device:    s.deps.Device.Info().Kind,
		Seed:      s.config.Seed,
		Trainable: r.Trainable,
		Steps:     int64(r.Steps),
		BestStep:  int64(r.BestStep),
		Tokens:    r.Tokens,
		Targets:   r.Targets,
	}
	if r.BestLoss != nil {
		row.ValLoss = *r.BestLoss
	}
	for _, p := range r.Curve {
		row.Curve = append(row.Curve, schemas.Point{
			Step: int64(p.Step), Loss: p.Loss, ValLoss: p.ValLoss, LR: p.LR, GradNorm: p.GradNorm, Tokens: p.Tokens,
		})
	}
	return row, nil
}
