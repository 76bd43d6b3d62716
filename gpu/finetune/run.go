package finetune

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/optim"
)

// ErrNoTargets says that no training conversation has a supervised token.
var ErrNoTargets = errors.New("no supervised token")

// Hooks connect a run with the world. The zero Hooks are valid.
type Hooks struct {
	OnStep    func(StepInfo)   // hears of each step, after its validation; nil hears nothing
	Heartbeat func()           // is called whenever the device was given a micro-batch, also while validating; nil is not called
	State     Checkpoints      // where checkpoints are kept; nil keeps none
	Overwrite bool             // write over checkpoints of another run, if State holds no others; false makes them a [ForeignError]
	Scratch   string           // directory for a copy of the checkpoint to go on from, unless State gives an *os.File: on a disk, as it may be larger than memory; "" is the system's for temporary files
	Now       func() time.Time // measures [StepInfo.Took]; nil measures nothing
	Base      string           // identity of the base model: a checkpoint made on another one is not used
	Log       *slog.Logger     // nil logs nothing
}

// complete puts hooks that do nothing where there are none.
func (h Hooks) complete() Hooks {
	if h.OnStep == nil {
		h.OnStep = func(StepInfo) {}
	}
	if h.Heartbeat == nil {
		h.Heartbeat = func() {}
	}
	if h.Now == nil {
		h.Now = func() time.Time { return time.Time{} }
	}
	if h.Log == nil {
		h.Log = slog.New(slog.DiscardHandler)
	}
	return h
}

// Run trains model on train and leaves it with the weights that were best on
// val, or with the last ones when val is empty. If nothing of the model is
// trainable yet it first makes trainable what the method says: everything, a
// part, the adapters that the model has, or new ones.
//
// With [Hooks.State] it goes on from the checkpoint found there if that belongs
// to the same run: the same options, examples, base and starting weights on the
// same kind of device. Checkpoints of another run are a [ForeignError], unless
// they may be lost. When ctx is cancelled it saves a checkpoint and returns
// the context's error; between steps that are skipped it saves none in place of
// another, and the run goes on from an earlier one.
//
// Adapters, gradients and optimizer state live on the device, a copy of the best
// weights in host memory. The gradients stay until [chatglm.Model.Freeze]. After
// an error the model has the weights of the last step, but for [DivergedError].
//
// Weights that are not finite before the first update are a
// [chatglm.ErrNotFinite] that names one.
//
// With [Options.Memory] all that has a limit, and layers whose activations do not
// fit compute them twice, which changes no bit of the result.
func Run(ctx context.Context, model *chatglm.Model, train, val []Example, o Options, h Hooks) (Result, error) {
	if err := o.Validate(); err != nil {
		return Result{}, err
	}
	r, err := newRun(model, train, val, o, h)
	if err != nil {
		return Result{}, err
	}
	defer r.updater.close()
	if err := r.resume(ctx); err != nil {
		return Result{}, err
	}
	if err := r.loop(ctx); err != nil {
		if ctx.Err() != nil && !errors.Is(err, errBelied) {
			return r.result(), errors.Join(ctx.Err(), r.interrupted(context.WithoutCancel(ctx)))
		}
		var diverged *DivergedError
		if errors.As(err, &diverged) {
			if failed := r.rollback(ctx, diverged); failed != nil {
				err = errors.Join(err, failed)
			}
		}
		return r.result(), err
	}
	err = r.finish()
	return r.result(), err
}

// run is a training in progress. Everything that changes while it runs is in
// state, in the weights and the updater on the device, and in best.
type run struct {
	model    *chatglm.Model
	dev      device.Device
	params   []*chatglm.Param // trainable
	options  Options
	hooks    Hooks
	log      *slog.Logger
	data     data
	plan     *plan
	schedule optim.Schedule
	updater  *updater

	state        state
	best         [][]float32 // of each of params, at state.BestStep; nil before a finite validation
	slot         int         // of the next checkpoint
	startChecked bool        // whether the weights were looked at before the first update

	resumed    int // see Result
	recomputed int
}

func newRun(model *chatglm.Model, train, val []Example, o Options, h Hooks) (*run, error) {
	h = h.complete()
	r := &run{model: model, dev: model.Device(), options: o, hooks: h, log: h.Log}
	var err error
	if r.data, err = newData(train, val, o, model.Config().PaddedVocabSize); err != nil {
		return nil, err
	}
	if len(model.Trainable()) == 0 {
		if err := prepare(model, o); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(o.checkGradients(model), model.SetObjective(o.objective())); err != nil {
		return nil, err
	}
	r.params = model.Trainable()
	r.plan = newPlan(lengths(r.data.train), o)
	r.state.Validated = -1
	if r.schedule, err = optim.NewSchedule(o.WarmupSteps, r.plan.total, o.Decay); err != nil {
		return nil, err
	}
	for _, w := range r.warnings() {
		r.log.Warn(w)
	}
	if h.State != nil {
		digest, parts, err := r.fingerprint()
		if err != nil {
			return nil, fmt.Errorf("identity of the run: %w", err)
		}
		r.state.Identity, r.state.Parts = digest, &parts
	}
	largest := r.data.largest(o.BatchTokens)
	if err := r.fit(); err != nil {
		return nil, err
	}
	if r.updater, err = allocate(model, o, largest); err != nil {
		return nil, err
	}
	return r, nil
}

// loop takes the steps that are left.
func (r *run) loop(ctx context.Context) error {
	if r.validationDue() { // before the first step, or left over from a run that was cancelled right there
		if err := r.afterStep(ctx, r.leftOver()); err != nil {
			return err
		}
	}
	for r.state.Steps < r.plan.total && !r.state.Stopped {
		info, err := r.step(ctx)
		if err != nil {
			return err
		}
		if err := r.afterStep(ctx, info); err != nil {
			return err
		}
	}
	return nil
}

// afterStep does what follows a step: validation, telling of it, a checkpoint.
func (r *run) afterStep(ctx context.Context, info StepInfo) error {
	if r.validationDue() {
		if err := r.validate(ctx); err != nil {
			return err
		}
	}
	if info.Step == 0 {
		return nil
	}
	if n := len(r.state.Curve); !info.Skipped {
		info.Point = r.state.Curve[n-1]
	}
	r.hooks.OnStep(info)
	if r.options.SaveEvery > 0 && r.state.Steps%r.options.SaveEvery == 0 && !r.suspect() {
		return r.save(ctx)
	}
	return nil
}

// leftOver is the step that an earlier run took without finishing it; step 0 is
// the beginning.
func (r *run) leftOver() StepInfo {
	i := StepInfo{Total: r.plan.total, Point: Point{Step: r.state.Steps, Loss: math.NaN(), GradNorm: math.NaN()}}
	if i.Step > 0 {
		_, i.Epoch = r.plan.at(i.Step - 1)
	}
	n := len(r.state.Curve)
	i.Skipped = n == 0 || r.state.Curve[n-1].Step != i.Step
	return i
}

func (r *run) result() Result {
	res := r.state.Result
	res.Planned, res.Resumed, res.Recomputed = r.plan.total, r.resumed, r.recomputed
	res.Cut, res.Dropped = r.data.cut, r.data.dropped
	for _, p := range r.params {
		res.Trainable += int64(p.Len())
	}
	if r.best == nil {
		res.BestStep = res.Steps
	}
	return res
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
