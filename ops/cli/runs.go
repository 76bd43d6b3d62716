package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/pipeline/ledger"
)

func newRunsCommand(env Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "runs",
		Short: "See what ran, what runs, and what was parked",
		Long: `A run is all that follows from one order: an ingest, a retraining, an
evaluation. IDs may be cut short as long as they are not ambiguous.`,
		Args: wrong(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newRunsListCommand(env), newRunsShowCommand(env), newRunsFollowCommand(env), newRunsCancelCommand(env))
	return c
}

// findRun finds the run whose id begins with text.
func findRun(a *app.App, text string) (ledger.Run, error) {
	if run, ok := a.Ledger.Run(text); ok {
		return run, nil
	}
	var found []ledger.Run
	for _, r := range a.Ledger.Runs() {
		if text != "" && strings.HasPrefix(r.ID, text) {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return ledger.Run{}, fmt.Errorf("no run begins with %q: `glmflow runs ls` lists them", text)
	}
	return ledger.Run{}, fmt.Errorf("%d runs begin with %q, such as %s and %s: say more of the id", len(found), text, found[0].ID, found[1].ID)
}
