package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/pipeline/trigger"
)

func newScheduleRemoveCommand(env Env) *cobra.Command {
	var flow flowFlags
	c := &cobra.Command{
		Use:   "rm NAME",
		Short: "Take a schedule away",
		Args:  wrong(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			return flow.with(c, env, func(ctx context.Context, a *app.App) error {
				if err := trigger.NewSchedules(a.Broker).Remove(ctx, args[0]); err != nil {
					return hintSchedules(err)
				}
				say(c.OutOrStdout(), "schedule %s removed", args[0])
				return nil
			})
		},
	}
	flow.add(c.Flags())
	return c
}
