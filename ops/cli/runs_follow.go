package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/term"
)

func newRunsFollowCommand(env Env) *cobra.Command {
	var flow flowFlags
	c := &cobra.Command{
		Use:   "follow ID",
		Short: "Watch a run live until it ends, then show it",
		Long: `follow watches a run that another process works on and ends when it does. It may
begin at any time. Exit code 1 says that a job was parked, 3 that the gate said no.`,
		Args: wrong(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			return flow.with(c, env, func(ctx context.Context, a *app.App) error {
				run, err := findRun(a, args[0])
				if err != nil {
					return err
				}
				bar := term.NewProgress(term.NewScreen(c.ErrOrStderr()), env.Now)
				if run, err = newFollower(a, bar, env.Now).follow(ctx, run.ID, settled); err != nil {
					return err
				}
				if err := showRun(ctx, a, term.NewScreen(c.OutOrStdout()), run, env.Now()); err != nil {
					return err
				}
				return verdict(run)
			})
		},
	}
	flow.add(c.Flags())
	return c
}
