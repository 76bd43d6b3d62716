package finetune

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// ErrDiverged says that MaxSkips steps in a row had a loss or a gradient that
// was not finite. Trying again gives the same; a lower learning rate may not.
var ErrDiverged = errors.New("training diverged")

// A DivergedError is ErrDiverged with what is left of the training.
type DivergedError struct {
	Skipped, Step int     // so many steps in a row were not finite, up to this one
	LearningRate  float64 // the peak that was too high
	// Checkpoint is the step of the last good checkpoint, which is the newest that
	// is kept, and to which training went back; −1 without one.
	Checkpoint int
	// Good is the step whose weights the model has: the best in validation up to
	// then, or those of the checkpoint. −1 says that there are neither, and the
	// model has the weights of the last step.
	Good int
}

func (e *DivergedError) Error() string {
	left := "no weights are known to be good: save checkpoints more often, or validate"
	if e.Good >= 0 {
		left = fmt.Sprintf("the model has the weights of step %d, the best of those that are known to be good", e.Good)
	}
	if e.Checkpoint >= 0 {
		left += fmt.Sprintf("; the last good checkpoint, of step %d, is kept", e.Checkpoint)
	}
	return fmt.Sprintf("%v: loss or gradient not finite in %d steps up to step %d; lower learning_rate (now %g); %s",
		ErrDiverged, e.Skipped, e.Step, e.LearningRate, left)
}

// Unwrap makes it an ErrDiverged.
func (e *DivergedError) Unwrap() error { return ErrDiverged }

// skip counts a step that updates nothing.
func (r *run) skip(p Point) error {
	r.state.Skipped++
	r.state.SkippedInARow++
	if err := r.checkStart(); err != nil {
		return err
	}
	r.log.Warn("step skipped: loss or gradient is not finite", "step", p.Step, "loss", p.Loss, "grad_norm", p.GradNorm)
	if r.state.SkippedInARow < r.options.MaxSkips {
		return nil
	}
	return &DivergedError{Skipped: r.state.SkippedInARow, Step: p.Step, LearningRate: r.options.LearningRate, Checkpoint: -1, Good: -1}
}

// checkStart tells weights that were bad from the start from those that training
// made bad: no learning rate mends the former.
func (r *run) checkStart() error {
	if r.updater.optimizer.Steps() > 0 || r.startChecked {
		return nil
	}
	r.startChecked = true
	if err := r.model.CheckFinite(); err != nil {
		return fmt.Errorf("before the first update: %w", err)
	}
	return nil
}

// rollback leaves a run that diverged as good as it can be. The steps that failed
// accuse the weights that they began with; a checkpoint is good if a step went
// well after it, and takes the place of newer ones. Without such a checkpoint
// there may be weights that validation has found to be good.
func (r *run) rollback(ctx context.Context, failed *DivergedError) error {
	all, err := r.candidates(ctx)
	if err != nil {
		return err
	}
	lastUpdate := r.state.Steps - r.state.SkippedInARow
	good := slices.IndexFunc(all, func(c candidate) bool { return c.state.Steps < lastUpdate })
	if good < 0 {
		good = len(all)
	}
	found, err := r.restore(ctx, all[good:])
	if err != nil {
		return err
	}
	if !found && r.best == nil {
		return nil
	}
	if found {
		failed.Checkpoint = r.state.Steps
		for _, newer := range all[:good] {
			if err := r.saveTo(ctx, newer.slot); err != nil {
				return fmt.Errorf("checkpoint of step %d: %w", r.state.Steps, err)
			}
		}
	}
	failed.Good = r.result().BestStep
	return r.finish()
}
