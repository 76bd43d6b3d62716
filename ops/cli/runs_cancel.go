package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/app"
)

func newRunsCancelCommand(env Env) *cobra.Command {
	var (
		flow   flowFlags
		reason string
	)
	c := &cobra.Command{
		Use:   "cancel ID",
		Short: "Stop a run: what works on it stops, what waits is parked",
		Args:  wrong(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			return flow.with(c, env, func(ctx context.Context, a *app.App) error {
				run, err := findRun(a, args[0])
				if err != nil {
					return err
				}
				if run.Settled() {
					say(c.OutOrStdout(), "run %s is over already: %s", shortID(run.ID), run.State)
					return nil
				}
				if err := a.Broker.Cancel(ctx, run.ID, actor(), reason); err != nil {
					return err
				}
				say(c.OutOrStdout(), "run %s cancelled", shortID(run.ID))
				return nil
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the records")
	flow.add(c.Flags())
	return c
}
