package finetune

import (
	"context"
	"fmt"

	"github.com/glmflow/glmflow/gpu/optim"
)

// step takes one optimizer step. Cancelled half-way it leaves no trace.
func (r *run) step(ctx context.Context) (StepInfo, error) {
	began := r.hooks.Now()
	s, epoch := r.plan.at(r.state.Steps)
	info := StepInfo{Total: r.plan.total, Epoch: epoch, Point: Point{
		Step: r.state.Steps + 1,
		LR:   r.options.LearningRate * r.schedule.At(r.state.Steps),
	}}
	targets, err := r.gradients(ctx, s, &info.Point)
	if err != nil {
		return StepInfo{}, err
	}
	info.Skipped = !finite(info.Loss) || !finite(info.GradNorm)
	r.state.Steps++
	r.state.Tokens += info.Tokens
	r.state.Targets += int64(targets)
	if info.Skipped {
		err = r.skip(info.Point)
	} else {
		r.update(info.Point)
	}
	info.Took = r.hooks.Now().Sub(began)
	return info, err
}

// gradients runs forward and backward over a step, fills in what is known then
// and returns the number of targets.
func (r *run) gradients(ctx context.Context, s step, p *Point) (targets int, err error) {
	of := make([]int, len(s)) // targets of each micro-batch
	for i, b := range s {
		for _, e := range b {
			of[i] += r.train[e].targets()
		}
		targets += of[i]
	}
	for _, p := range r.params {
		r.dev.Zero(p.Grad)
	}
	for i, b := range s {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		share := 1 / float64(targets) // of a target in the loss of the step
		if r.options.AccumulateBy == ByBatches {
			share = 1 / float64(of[i]*len(s))
		}
		packed := batch(r.train, b)
		// The counter keeps dropout apart between all micro-batches of a run.
		counter := uint64(r.state.Steps)*uint64(r.options.Accumulate) + uint64(i)
		nll, _, err := r.model.Accumulate(packed, float32(share), counter)
		if err != nil {
			return 0, fmt.Errorf("step %d: %w", p.Step, err)
		}
		r.hooks.Alive()
		p.Loss += share * nll
		p.Tokens += int64(len(packed.IDs))
	}
	p.GradNorm = optim.GradNorm(r.dev, r.params)
	if err := r.dev.Sync(); err != nil {
		return 0, fmt.Errorf("step %d: %w", p.Step, err)
	}
	return targets, nil
}

// update changes the weights by their gradients.
func (r *run) update(p Point) {
	r.state.SkippedInARow = 0
	r.optimizer.Step(float32(p.LR), optim.ClipScale(p.GradNorm, r.options.ClipNorm))
	if r.average != nil {
		r.average.Add(r.optimizer.Steps())
	}
	r.state.Curve = append(r.state.Curve, p)
}
