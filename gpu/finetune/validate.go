package finetune

import (
	"context"
	"fmt"
	"math"
)

// Metrics of a validation.
const (
	Loss       = "loss"       // mean nats a target
	Perplexity = "perplexity" // e to the loss
	Accuracy   = "accuracy"   // share of the targets whose token is the likeliest
)

// measurement is what a validation finds.
type measurement struct {
	loss     float64
	accuracy *float64 // nil where nobody asked
}

// metric is the value of the named metric.
func (m measurement) metric(name string) float64 {
	switch name {
	case Perplexity:
		return math.Exp(m.loss)
	case Accuracy:
		return *m.accuracy
	}
	return m.loss
}

// gain is how much better a value of the metric is than another.
func (o Options) gain(value, than float64) float64 {
	if o.Metric == Accuracy {
		return value - than
	}
	return than - value
}

// validationDue reports whether the weights of this step still have to be
// measured: before the first step, after the last, and every EvalEvery.
func (r *run) validationDue() bool {
	s := r.state.Steps
	if len(r.data.val) == 0 || r.state.Validated == s {
		return false
	}
	return s == 0 || s == r.plan.total || r.options.EvalEvery > 0 && s%r.options.EvalEvery == 0
}

// validate measures the weights on the validation set, or their average where
// there is one, keeps them if they are the best so far and decides whether to
// stop.
func (r *run) validate(ctx context.Context) error {
	if r.updater.average != nil {
		r.updater.average.Swap()
		defer r.updater.average.Swap()
	}
	m, err := r.measure(ctx)
	if err != nil {
		return err
	}
	s := &r.state
	s.Validated = s.Steps
	value := m.metric(r.options.Metric)
	if !finite(m.loss) || !finite(value) {
		if err := r.checkStart(); err != nil {
			return err
		}
		r.log.Warn("validation is not finite", "step", s.Steps, "loss", m.loss)
		r.lose()
		return nil
	}
	if s.Steps == 0 {
		s.StartLoss = &m.loss
	}
	if n := len(s.Curve); n > 0 && s.Curve[n-1].Step == s.Steps {
		s.Curve[n-1].ValLoss, s.Curve[n-1].ValAccuracy = &m.loss, m.accuracy
	}
	if s.Counted == nil || r.options.gain(value, *s.Counted) > r.options.MinDelta {
		s.Counted, s.WithoutGain = &value, 0
	} else {
		r.lose()
	}
	if s.Best == nil || r.options.gain(value, *s.Best) > 0 {
		s.Best, s.BestLoss, s.BestAccuracy, s.BestStep = &value, &m.loss, m.accuracy, s.Steps
		return r.keep()
	}
	return nil
}

// lose counts a validation without improvement.
func (r *run) lose() {
	r.state.WithoutGain++
	r.state.Stopped = r.options.Patience > 0 && r.state.WithoutGain >= r.options.Patience
}

// measure validates the weights in the model.
func (r *run) measure(ctx context.Context) (measurement, error) {
	var nll float64
	var hits, targets int
	for _, b := range r.data.val {
		if err := ctx.Err(); err != nil {
			return measurement{}, err
		}
		var sums []float64
		var right, counts []int
		var err error
		if r.options.Metric == Accuracy {
			sums, right, counts, err = r.model.Measure(b)
		} else {
			sums, counts, err = r.model.Loss(b)
		}
		if err != nil {
			return measurement{}, fmt.Errorf("validation at step %d: %w", r.state.Steps, err)
		}
		r.hooks.Heartbeat()
		for i := range sums {
			nll += sums[i]
			targets += counts[i]
		}
		for _, n := range right {
			hits += n
		}
	}
	m := measurement{loss: nll / float64(targets)}
	if r.options.Metric == Accuracy {
		share := float64(hits) / float64(targets)
		m.accuracy = &share
	}
	return m, nil
}

// keep copies the trainable parameters to host memory: they are the best.
func (r *run) keep() error {
	if r.best == nil {
		r.best = make([][]float32, len(r.params))
		for i, p := range r.params {
			r.best[i] = make([]float32, p.Len())
		}
	}
	for i, p := range r.params {
		if err := r.model.Values(p, r.best[i]); err != nil {
			return err
		}
	}
	return nil
}

// finish puts into the model what a run leaves there: the best weights, else their
// average, else the last ones.
func (r *run) finish() error {
	if r.updater.average != nil {
		r.updater.average.Swap()
	}
	if r.best != nil && r.state.BestStep != r.state.Steps {
		for i, p := range r.params {
			if err := r.model.SetValues(p, r.best[i]); err != nil {
				return err
			}
		}
	}
	return r.dev.Sync()
}
