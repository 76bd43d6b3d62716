package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/term"
	"github.com/glmflow/glmflow/pipeline/trigger"
	"github.com/glmflow/glmflow/schemas"
)

func newScheduleSetCommand(env Env) *cobra.Command {
	var (
		flow  flowFlags
		clock trigger.Clock
		model string
	)
	c := &cobra.Command{
		Use:   "set NAME --cron EXPR",
		Short: "Set a schedule, in place of one of the same name",
		Example: `  glmflow schedule set nightly --cron '0 3 * * *' --tz Asia/Shanghai
  glmflow schedule set often --cron '@every 30m'`,
		Args: wrong(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			times, err := clock.Next(env.Now(), 3)
			if err != nil {
				return usageError{err}
			}
			return flow.with(c, env, func(ctx context.Context, a *app.App) error {
				err := trigger.NewSchedules(a.Broker).Set(ctx, trigger.Schedule{
					Name: args[0], Clock: clock, Order: schemas.TrainOrder{Model: model}, Actor: actor(),
				})
				if err != nil {
					return err
				}
				s := term.NewScreen(c.OutOrStdout())
				say(s.W, "schedule %s set; it fires next", args[0])
				writeTimes(s, times, env.Now())
				if alone(a) {
					say(s.W, "%s", nobodyRuns)
				}
				return nil
			})
		},
	}
	flags := c.Flags()
	flags.StringVar(&clock.Expr, "cron", "", "five cron fields (minute hour day month weekday), six with seconds in front, @hourly, @daily, @weekly, @monthly, @yearly, or @every with a duration")
	flags.StringVar(&clock.Zone, "tz", "", "IANA time zone in which --cron is read, such as Asia/Shanghai; by default UTC")
	flags.StringVar(&model, "model", "", "name to publish under; by default the configured one")
	flow.add(flags)
	require(c, "cron")
	return c
}
