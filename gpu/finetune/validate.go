package finetune

import (
	"context"
	"fmt"

	"github.com/glmflow/glmflow/gpu/optim"
)

// validationDue reports whether the weights of this step still have to be
// measured: before the first step, after the last, and every EvalEvery.
func (r *run) validationDue() bool {
	s := r.state.Steps
	if len(r.val) == 0 || r.state.Validated == s {
		return false
	}
	return s == 0 || s == r.plan.total || r.options.EvalEvery > 0 && s%r.options.EvalEvery == 0
}

// validate measures the mean nats a target over the validation set, keeps the
// weights if they are the best so far and decides whether to stop.
func (r *run) validate(ctx context.Context) error {
	var nll float64
	var targets int
	for _, b := range r.val {
		if err := ctx.Err(); err != nil {
			return err
		}
		sums, counts, err := r.model.Loss(b)
		if err != nil {
			return fmt.Errorf("validation at step %d: %w", r.state.Steps, err)
		}
		r.hooks.Alive()
		for i := range sums {
			nll += sums[i]
			targets += counts[i]
		}
	}
	loss := nll / float64(targets)
	r.state.Validated = r.state.Steps
	if !finite(loss) {
		r.log.Warn("validation loss is not finite", "step", r.state.Steps)
	} else {
		if r.state.Steps == 0 {
			r.state.StartLoss = &loss
		}
		if n := len(r.state.Curve); n > 0 && r.state.Curve[n-1].Step == r.state.Steps {
			r.state.Curve[n-1].ValLoss = &loss
		}
		if r.state.BestLoss == nil || loss < *r.state.BestLoss {
			r.state.BestLoss, r.state.BestStep, r.state.WithoutGain = &loss, r.state.Steps, 0
			return r.keep()
		}
	}
	r.state.WithoutGain++
	r.state.Stopped = r.options.Patience > 0 && r.state.WithoutGain >= r.options.Patience
	return nil
}

// keep copies the trainable parameters to host memory: they are the best.
func (r *run) keep() error {
	best := make([][]float32, len(r.params))
	for i, p := range r.params {
		var err error
		if best[i], err = r.download(p); err != nil {
			return err
		}
	}
	r.best = best
	return nil
}

// download copies a parameter to host memory.
func (r *run) download(p optim.Param) ([]float32, error) {
	w := make([]float32, p.W.Len())
	r.dev.Download(w, p.W)
	return w, r.dev.Sync()
}

// useBest puts the best weights back into the model.
func (r *run) useBest() {
	if r.best == nil || r.state.BestStep == r.state.Steps {
		return
	}
	for i, p := range r.params {
		r.dev.Upload(p.W, r.best[i])
	}
}
