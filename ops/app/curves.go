package app

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
	"sync"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/schemas"
)

// Metrics yields a run's reports from the first, then each new one until ctx is
// cancelled. A run of "" is every run.
func (a *App) Metrics(ctx context.Context, run string) iter.Seq2[pipeline.Metric, error] {
	subject := broker.AllMetrics
	if run != "" {
		subject = broker.MetricSubject(run, "x")
		subject = subject[:len(subject)-1] + "*"
	}
	return func(yield func(pipeline.Metric, error) bool) {
		for body, err := range a.Broker.Metrics(ctx, subject) {
			var m pipeline.Metric
			if err == nil {
				err = json.Unmarshal(body, &m)
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

// Curves are kept for this many runs.
const keptCurves = 100

// curves are the loss curves of the latest runs, live.
type curves struct {
	mu      sync.Mutex
	points  map[string][]schemas.Point
	order   []string // runs, oldest first
	changed chan struct{}
}

func newCurves() *curves {
	return &curves{points: map[string][]schemas.Point{}, changed: make(chan struct{})}
}

// follow keeps the curves current until ctx is cancelled.
func (c *curves) follow(ctx context.Context, metrics iter.Seq2[pipeline.Metric, error]) error {
	for m, err := range metrics {
		if err != nil {
			return err
		}
		if loss, ok := m.Progress.Values["loss"]; ok && m.Stage == "train" {
			c.add(m.Run, point(m.Progress, loss))
		}
	}
	return nil
}

func point(p pipeline.Progress, loss float64) schemas.Point {
	pt := schemas.Point{Step: p.Done, Loss: loss, LR: p.Values["lr"], GradNorm: p.Values["grad_norm"]}
	if v, ok := p.Values["val_loss"]; ok {
		pt.ValLoss = &v
	}
	return pt
}

// add puts a step in its place: a training that went on from a checkpoint
// reports some steps twice, and the later report counts.
func (c *curves) add(run string, p schemas.Point) {
	c.mu.Lock()
	defer c.mu.Unlock()
	points, known := c.points[run]
	if !known {
		c.order = append(c.order, run)
		if len(c.order) > keptCurves {
			delete(c.points, c.order[0])
			c.order = c.order[1:]
		}
	}
	at, _ := slices.BinarySearchFunc(points, p.Step, func(q schemas.Point, step int64) int { return int(q.Step - step) })
	c.points[run] = append(points[:at:at], p)
	c.wake()
}

// signal tells waiters that something else changed.
func (c *curves) signal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake()
}

// wake is called with mu held.
func (c *curves) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *curves) of(run string) []schemas.Point {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.points[run])
}

func (c *curves) wait() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}
