package finetune

import (
	"context"
	"errors"
	"fmt"

	"github.com/glmflow/glmflow/gpu/chatglm"
)

// errBelied says that a loss is not finite and its gradient is, by which the
// device has changed the weights: they are those of no step.
var errBelied = errors.New("this is a defect of the device, or a score too large for it")

// step takes one optimizer step. Cancelled half-way it leaves no trace.
func (r *run) step(ctx context.Context) (StepInfo, error) {
	began := r.hooks.Now()
	s, epoch := r.plan.at(r.state.Steps)
	info := StepInfo{Total: r.plan.total, Epoch: epoch, Point: Point{
		Step: r.state.Steps + 1,
		LR:   r.options.LearningRate * r.schedule.At(r.state.Steps),
	}}
	var targets int
	err := r.dev.Do(func() (err error) {
		targets, err = r.compute(ctx, s, &info.Point)
		return err
	})
	if err != nil {
		return StepInfo{}, err
	}
	// The device decided the same way whether to update: by the norm alone.
	info.Skipped = !finite(info.GradNorm)
	if !info.Skipped && !finite(info.Loss) {
		return StepInfo{}, fmt.Errorf("step %d: the loss is %g, but its gradient is finite, of norm %g, and the weights were changed by it on device %s: %w",
			info.Step, info.Loss, info.GradNorm, r.dev.Info().Kind, errBelied)
	}
	r.state.Steps++
	r.state.Tokens += info.Tokens
	r.state.Targets += int64(targets)
	if info.Skipped {
		err = r.skip(info.Point)
	} else {
		r.state.SkippedInARow = 0
		r.state.Curve = append(r.state.Curve, info.Point)
		r.updater.done()
	}
	info.Took = r.hooks.Now().Sub(began)
	return info, err
}

// compute runs forward and backward over a step and updates the weights, fills in
// what is known then and returns the number of targets. All of it is given to the
// device before it is waited for, once.
func (r *run) compute(ctx context.Context, s step, p *Point) (targets int, err error) {
	of := make([]int, len(s)) // targets of each micro-batch
	for i, b := range s {
		for _, e := range b {
			of[i] += r.data.train[e].targets()
		}
		targets += of[i]
	}
	share := func(i int) float64 { // of a target of micro-batch i in the loss of the step
		if r.options.AccumulateBy == ByBatches {
			return 1 / float64(of[i]*len(s))
		}
		return 1 / float64(targets)
	}
	losses, err := r.accumulate(ctx, s, share, p)
	if err != nil {
		return 0, errors.Join(err, r.dev.Sync()) // so that it does nothing behind our back
	}
	norm := r.updater.update(float32(p.LR), float32(r.options.ClipNorm))
	if err := r.dev.Sync(); err != nil {
		return 0, fmt.Errorf("step %d: %w", p.Step, err)
	}
	for i, l := range losses {
		nll, _ := l.Sum()
		p.Loss += share(i) * nll
	}
	p.GradNorm = float64(norm[0])
	return targets, nil
}

// accumulate has the device compute the gradients of a step, and the losses of
// each of its micro-batches.
func (r *run) accumulate(ctx context.Context, s step, share func(i int) float64, p *Point) ([]*chatglm.Losses, error) {
	r.updater.clear()
	losses := make([]*chatglm.Losses, len(s))
	for i, b := range s {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		packed := batch(r.data.train, b)
		// The counter keeps dropout apart between all micro-batches of a run.
		counter := uint64(r.state.Steps)*uint64(r.options.Accumulate) + uint64(i)
		var err error
		if losses[i], err = r.model.Accumulate(packed, float32(share(i)), counter); err != nil {
			return nil, fmt.Errorf("step %d: %w", p.Step, err)
		}
		r.hooks.Heartbeat()
		p.Tokens += int64(len(packed.IDs))
	}
	return losses, nil
}
