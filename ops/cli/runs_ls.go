package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/term"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/schemas"
)

// wide is a screen of so many columns that nothing is left out.
const wide = 100

func newRunsListCommand(env Env) *cobra.Command {
	var (
		flow   flowFlags
		asJSON bool
		limit  int
	)
	c := &cobra.Command{
		Use:     "ls",
		Short:   "List runs, the newest first",
		Example: `  glmflow runs ls --limit 5`,
		Args:    wrong(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if limit < 0 {
				return usagef("--limit %d: want 0 (all) or more", limit)
			}
			return flow.with(c, env, func(_ context.Context, a *app.App) error {
				runs := a.Ledger.Runs()
				all := len(runs)
				if limit > 0 {
					runs = runs[:min(limit, all)]
				}
				if asJSON {
					return writeJSON(c.OutOrStdout(), orEmpty(runs))
				}
				s := term.NewScreen(c.OutOrStdout())
				if all == 0 {
					say(s.W, "nothing ran yet: begin with `glmflow ingest PATH`")
					return nil
				}
				columns := 7
				if s.Width < wide {
					columns-- // the last one, who, is in `runs show` too
				}
				headings := []string{"run", "what", "state", "started", "took", "result", "who"}
				table := [][]string{headings[:columns]}
				for _, r := range runs {
					row := []string{shortID(r.ID), what(r.Kind), string(r.State), day(r.Started, env.Now()), took(r, env.Now()), result(r), r.Actor}
					table = append(table, row[:columns])
				}
				fmt.Fprint(s.W, s.Table(table, 4))
				if len(runs) < all {
					say(s.W, "%s more: --limit 0 lists all", digits(int64(all-len(runs))))
				}
				return nil
			})
		},
	}
	flags := c.Flags()
	flags.IntVar(&limit, "limit", 20, "list at most this many; 0 lists all")
	jsonFlag(flags, &asJSON)
	flow.add(flags)
	return c
}

// result is what a run came to, in a few words.
func result(r ledger.Run) string {
	switch n := len(r.Releases); {
	case len(r.Parked) > 0:
		return count(len(r.Parked), "job") + " parked"
	case n > 0 && r.Releases[n-1].Promoted:
		return fmt.Sprintf("%s:%d production", r.Releases[n-1].Name, r.Releases[n-1].Version)
	case n > 0 && r.Releases[n-1].Passed:
		return fmt.Sprintf("%s:%d candidate", r.Releases[n-1].Name, r.Releases[n-1].Version)
	case n > 0:
		return fmt.Sprintf("%s:%d refused", r.Releases[n-1].Name, r.Releases[n-1].Version)
	case r.Kind == schemas.IngestRequest && len(r.Stages) > 0:
		return count(int(r.Stages[len(r.Stages)-1].RowsOut), "row")
	case has(r, schemas.Score):
		return "scored"
	case r.Settled() && len(r.Windows) == 0 && r.Kind == schemas.TrainRequest:
		return "too little is new"
	case r.Settled() && r.Kind == schemas.EvalRequest:
		return "no score"
	}
	return ""
}
