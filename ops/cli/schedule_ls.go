package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/term"
	"github.com/glmflow/glmflow/pipeline/trigger"
)

func newScheduleListCommand(env Env) *cobra.Command {
	var (
		flow   flowFlags
		asJSON bool
	)
	c := &cobra.Command{
		Use:   "ls",
		Short: "List the schedules and when they fire next",
		Args:  wrong(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			return flow.with(c, env, func(ctx context.Context, a *app.App) error {
				schedules := trigger.NewSchedules(a.Broker)
				list, err := schedules.List(ctx)
				if err != nil {
					return err
				}
				type entry struct {
					trigger.Schedule
					Next time.Time `json:"next"`
				}
				entries := []entry{}
				for _, s := range list {
					times, err := schedules.Next(ctx, s.Name, env.Now(), 1)
					if err != nil {
						return err
					}
					e := entry{Schedule: s}
					if len(times) > 0 {
						e.Next = times[0]
					}
					entries = append(entries, e)
				}
				if asJSON {
					return writeJSON(c.OutOrStdout(), entries)
				}
				s := term.NewScreen(c.OutOrStdout())
				if len(entries) == 0 {
					say(s.W, "no schedule: glmflow schedule set nightly --cron '0 3 * * *' makes one")
					return nil
				}
				table := [][]string{{"schedule", "cron", "zone", "next", "model", "who"}}
				for _, e := range entries {
					model := e.Order.Model
					if model == "" {
						model = a.Config.Model.Name
					}
					table = append(table, []string{e.Name, e.Expr, zoneOr(e.Zone), e.Next.Format("2006-01-02 15:04 MST"), model, e.Actor})
				}
				fmt.Fprint(s.W, s.Table(table))
				if alone(a) {
					say(s.W, "%s", nobodyRuns)
				}
				return nil
			})
		},
	}
	jsonFlag(c.Flags(), &asJSON)
	flow.add(c.Flags())
	return c
}
