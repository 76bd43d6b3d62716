package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/term"
)

func newModelsShowCommand(env Env) *cobra.Command {
	var (
		flow   flowFlags
		asJSON bool
	)
	c := &cobra.Command{
		Use:   "show NAME",
		Short: "Show a model's versions, the newest first, with verdicts and aliases",
		Args:  wrong(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			return flow.with(c, env, func(_ context.Context, a *app.App) error {
				m, err := findModel(a, args[0])
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(c.OutOrStdout(), m)
				}
				s := term.NewScreen(c.OutOrStdout())
				table := [][]string{{"version", "aliases", "gate", "window", "files"}}
				for _, v := range slices.Backward(m.Versions) {
					table = append(table, []string{fmt.Sprintf("%s:%d", m.Name, v.Version), aliasesOf(m, v.Version), gate(v), shortDigest(v.Window), shortDigest(v.Files)})
				}
				fmt.Fprint(s.W, s.Table(table))
				say(s.W, "\nglmflow models history %s says who changed what, glmflow models verify %s:%d where it came from", m.Name, m.Name, m.Next()-1)
				return nil
			})
		},
	}
	jsonFlag(c.Flags(), &asJSON)
	flow.add(c.Flags())
	return c
}
