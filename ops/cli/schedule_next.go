package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/term"
	"github.com/glmflow/glmflow/pipeline/trigger"
)

func newScheduleNextCommand(env Env) *cobra.Command {
	var (
		flow   flowFlags
		n      int
		asJSON bool
	)
	c := &cobra.Command{
		Use:   "next NAME",
		Short: "Tell when a schedule fires next",
		Args:  wrong(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if n < 1 || n > 1000 {
				return usagef("-n %d: want 1 to 1000", n)
			}
			return flow.with(c, env, func(ctx context.Context, a *app.App) error {
				now := env.Now()
				times, err := trigger.NewSchedules(a.Broker).Next(ctx, args[0], now, n)
				if err != nil {
					return hintSchedules(err)
				}
				if asJSON {
					return writeJSON(c.OutOrStdout(), orEmpty(times))
				}
				writeTimes(term.NewScreen(c.OutOrStdout()), times, now)
				return nil
			})
		},
	}
	c.Flags().IntVarP(&n, "count", "n", 5, "how many times")
	jsonFlag(c.Flags(), &asJSON)
	flow.add(c.Flags())
	return c
}

// hintSchedules says how to find the name.
func hintSchedules(err error) error {
	if errors.Is(err, trigger.ErrNotFound) {
		return fmt.Errorf("%w: `glmflow schedule ls` lists them", err)
	}
	return err
}
