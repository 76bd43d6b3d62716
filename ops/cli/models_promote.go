package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/app"
)

func newModelsPromoteCommand(env Env) *cobra.Command {
	var (
		flow   flowFlags
		reason string
	)
	c := &cobra.Command{
		Use:     "promote REF --reason TEXT",
		Short:   "Make a version production; what was production becomes previous",
		Long:    `promote moves the alias production. What the gate refused cannot be promoted.`,
		Example: `  glmflow models promote assistant@candidate --reason "read twenty answers, all fine"`,
		Args:    wrong(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkReason(reason); err != nil {
				return err
			}
			return flow.with(c, env, func(ctx context.Context, a *app.App) error {
				release, err := a.Ledger.Resolve(args[0])
				if err != nil {
					return err
				}
				change, err := a.Ledger.Promote(ctx, release.Name, release.Version, actor(), reason, env.Now())
				if err != nil {
					return err
				}
				say(c.OutOrStdout(), "%s: %s", release.Name, moves(change.Aliases))
				return nil
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why; it stays in the model's history")
	flow.add(c.Flags())
	require(c, "reason")
	return c
}
