package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/app"
)

func newModelsRollbackCommand(env Env) *cobra.Command {
	var (
		flow   flowFlags
		reason string
	)
	c := &cobra.Command{
		Use:     "rollback NAME --reason TEXT",
		Short:   "Make the previous version production again",
		Example: `  glmflow models rollback assistant --reason "invents return addresses"`,
		Args:    wrong(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkReason(reason); err != nil {
				return err
			}
			return flow.with(c, env, func(ctx context.Context, a *app.App) error {
				if _, err := findModel(a, args[0]); err != nil {
					return err
				}
				change, err := a.Ledger.Rollback(ctx, args[0], actor(), reason, env.Now())
				if err != nil {
					return err
				}
				say(c.OutOrStdout(), "%s: %s", args[0], moves(change.Aliases))
				return nil
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why; it stays in the model's history")
	flow.add(c.Flags())
	require(c, "reason")
	return c
}
