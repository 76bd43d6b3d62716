package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/term"
	"github.com/glmflow/glmflow/schemas"
)

func newModelsListCommand(env Env) *cobra.Command {
	var (
		flow   flowFlags
		asJSON bool
	)
	c := &cobra.Command{
		Use:   "ls",
		Short: "List the models and what their aliases name",
		Args:  wrong(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			return flow.with(c, env, func(_ context.Context, a *app.App) error {
				models := a.Ledger.Models()
				if asJSON {
					return writeJSON(c.OutOrStdout(), orEmpty(models))
				}
				s := term.NewScreen(c.OutOrStdout())
				if len(models) == 0 {
					say(s.W, "nothing is published yet: `glmflow train --wait` does that")
					return nil
				}
				table := [][]string{{"model", "versions", schemas.AliasProduction, schemas.AliasCandidate, schemas.AliasPrevious, "changed"}}
				for _, m := range models {
					changed := ""
					if n := len(m.History); n > 0 {
						changed = clock(m.History[n-1].Time)
					}
					table = append(table, []string{m.Name, digits(int64(len(m.Versions))), some(m.Aliases[schemas.AliasProduction]),
						some(m.Aliases[schemas.AliasCandidate]), some(m.Aliases[schemas.AliasPrevious]), changed})
				}
				fmt.Fprint(s.W, s.Table(table, 1, 2, 3, 4))
				return nil
			})
		},
	}
	jsonFlag(c.Flags(), &asJSON)
	flow.add(c.Flags())
	return c
}
