package cli

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/pipeline"
)

// serving does work and, where nobody else works in the flow, serves the named
// stages meanwhile. Nothing is ordered that could not be served.
func serving(ctx context.Context, a *app.App, stages []string, work func(context.Context) error) error {
	if !alone(a) {
		return work(ctx)
	}
	a.Config.Stages = stages
	if err := a.Ready(); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	group.Go(func() error {
		err := a.Serve(ctx, pipeline.Observer{})
		if errors.Is(err, context.Canceled) {
			return nil // the work was over before serving had begun
		}
		return err
	})
	group.Go(func() error {
		defer stop()
		return work(ctx)
	})
	return group.Wait()
}
