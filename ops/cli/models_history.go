package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/term"
)

func newModelsHistoryCommand(env Env) *cobra.Command {
	var (
		flow   flowFlags
		asJSON bool
	)
	c := &cobra.Command{
		Use:   "history NAME",
		Short: "Show who published, promoted and rolled back what, and why",
		Args:  wrong(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			return flow.with(c, env, func(_ context.Context, a *app.App) error {
				m, err := findModel(a, args[0])
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(c.OutOrStdout(), orEmpty(m.History))
				}
				s := term.NewScreen(c.OutOrStdout())
				table := [][]string{{"when", "what", "who", "aliases"}}
				reasons := []string{""}
				for _, e := range slices.Backward(m.History) {
					table = append(table, []string{day(e.Time, env.Now()), fmt.Sprintf("%s %d", e.Action, e.Version), e.Actor, moves(e.Aliases)})
					reasons = append(reasons, e.Reason)
				}
				writeNoted(s, s.Table(table), reasons)
				return nil
			})
		},
	}
	jsonFlag(c.Flags(), &asJSON)
	flow.add(c.Flags())
	return c
}
