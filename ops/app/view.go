package app

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/glmflow/glmflow/ops/console"
	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/stages"
)

// A View is what the console and the metrics show of the flow. [View.Follow]
// keeps it current.
type View struct {
	app    *App
	curves *curves
}

var _ console.Source = (*View)(nil)

// View returns a view of the flow.
func (a *App) View() *View { return &View{a, newCurves()} }

// Follow keeps the view current until ctx is cancelled.
func (v *View) Follow(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return v.curves.follow(ctx, v.app.Metrics(ctx, "")) })
	group.Go(func() error {
		for {
			changed := v.app.Ledger.Changed()
			v.curves.signal()
			select {
			case <-ctx.Done():
				return nil
			case <-changed:
			}
		}
	})
	return group.Wait()
}

// Queues implements [console.Source].
func (v *View) Queues(ctx context.Context) ([]console.Queue, error) {
	here := v.app.Stages()
	jobs := map[string]ledger.StageState{}
	for _, r := range v.app.Ledger.Runs() {
		for _, s := range r.Stages {
			sum := jobs[s.Name]
			sum.Done += s.Done
			sum.Parked += s.Parked
			jobs[s.Name] = sum
		}
	}
	var out []console.Queue
	for _, spec := range stages.Specs() {
		q, _, err := v.app.Broker.Queue(ctx, spec.Name)
		if err != nil {
			return nil, err
		}
		out = append(out, console.Queue{
			Name: spec.Name, About: spec.About, In: kinds(spec.In), Out: kinds(spec.Out),
			Waiting: q.Waiting, Working: q.Working, Retried: q.Retried,
			Done: int64(jobs[spec.Name].Done), Parked: int64(jobs[spec.Name].Parked),
			Here: slices.Contains(here, spec.Name),
		})
	}
	return out, nil
}

func kinds(list []schemas.Kind) []string {
	out := make([]string, len(list))
	for i, k := range list {
		out[i] = string(k)
	}
	return out
}

// Runs implements [console.Source].
func (v *View) Runs() []ledger.Run { return v.app.Ledger.Runs() }

// Run implements [console.Source].
func (v *View) Run(id string) (ledger.Run, bool) { return v.app.Ledger.Run(id) }

// Models implements [console.Source].
func (v *View) Models() []ledger.Model { return v.app.Ledger.Models() }

// Model implements [console.Source].
func (v *View) Model(name string) ledger.Model { return v.app.Ledger.Model(name) }

// Score implements [console.Source].
func (v *View) Score(ctx context.Context, d schemas.Dataset) (schemas.ScoreRow, error) {
	for row, err := range pipeline.RowsOf[schemas.ScoreRow](ctx, v.app.Store, d) {
		return row, err
	}
	return schemas.ScoreRow{}, fmt.Errorf("score %s has no row", d.Digest)
}

// Curve implements [console.Source].
func (v *View) Curve(_ context.Context, run string) ([]schemas.Point, error) {
	return v.curves.of(run), nil
}

// Changed implements [console.Source].
func (v *View) Changed() <-chan struct{} { return v.curves.wait() }
