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
				headings := []string{"version", "aliases", "gate", "window", "files"}
				columns := len(headings)
				if s.Width < wide {
					columns-- // digests are in --json too, and aliases are to be read
				}
				table := [][]string{headings[:columns]}
				for _, v := range slices.Backward(m.Versions) {
					row := []string{fmt.Sprintf("%s:%d", m.Name, v.Version), aliasesOf(m, v.Version), gate(v), shortDigest(v.Window), shortDigest(v.Files)}
					table = append(table, row[:columns])
				}
				fmt.Fprint(s.W, s.Table(table))
				say(s.W, "\nwho changed what:        glmflow models history %s", m.Name)
				say(s.W, "where a version is from: glmflow models verify %s:%d", m.Name, m.Next()-1)
				return nil
			})
		},
	}
	jsonFlag(c.Flags(), &asJSON)
	flow.add(c.Flags())
	return c
}
