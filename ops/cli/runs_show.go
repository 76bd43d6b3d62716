package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/term"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/schemas"
)

func newRunsShowCommand(env Env) *cobra.Command {
	var (
		flow           flowFlags
		asJSON, listed bool
	)
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show one run: stages, rows, parked jobs with their reasons, curve, verdict",
		Long: `show tells all there is to say about a run. With --datasets it lists what the run
made instead: Parquet files that DuckDB, pandas and others open as they are.`,
		Args: wrong(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			return flow.with(c, env, func(ctx context.Context, a *app.App) error {
				run, err := findRun(a, args[0])
				if err != nil {
					return err
				}
				if asJSON {
					o, err := outcomeOf(ctx, a, run)
					if err != nil {
						return err
					}
					made, err := datasetsOf(ctx, a, run.ID)
					if err != nil {
						return err
					}
					return writeJSON(c.OutOrStdout(), struct {
						ledger.Run
						outcome
						Datasets []dataset `json:"datasets"`
					}{run, o, orEmpty(made)})
				}
				if listed {
					return writeDatasets(ctx, a, term.NewScreen(c.OutOrStdout()), run.ID)
				}
				return showRun(ctx, a, term.NewScreen(c.OutOrStdout()), run, env.Now())
			})
		},
	}
	jsonFlag(c.Flags(), &asJSON)
	c.Flags().BoolVar(&listed, "datasets", false, "list the files that the run made")
	flow.add(c.Flags())
	return c
}

// showRun draws all there is to say about a run.
func showRun(ctx context.Context, a *app.App, s *term.Screen, run ledger.Run, now time.Time) error {
	say(s.W, "run      %s", run.ID)
	say(s.W, "what     %s, %s", what(run.Kind), run.State)
	if run.Reason != "" {
		say(s.W, "why      %s", run.Reason)
	}
	say(s.W, "who      %s", run.Actor)
	say(s.W, "when     %s, %s", clock(run.Started), took(run, now))
	for _, w := range run.Windows {
		say(s.W, "window   %s", shortDigest(w))
	}
	fmt.Fprintln(s.W)
	table := [][]string{{"stage", "waiting", "done", "parked", "rows in", "rows out", "rejected"}}
	for _, st := range run.Stages {
		table = append(table, []string{st.Name, some(int64(st.Waiting)), some(int64(st.Done)), some(int64(st.Parked)), some(st.RowsIn), some(st.RowsOut), some(st.Rejected)})
	}
	fmt.Fprint(s.W, s.Table(table, 1, 2, 3, 4, 5, 6))
	if run.Kind == schemas.IngestRequest {
		if err := writeRejects(ctx, a, s, run.ID); err != nil {
			return err
		}
	}
	if len(run.Parked) > 0 {
		say(s.W, "\n%s", s.Style(term.Bad, "Parked:"))
	}
	for _, d := range run.Parked {
		head := fmt.Sprintf("%s, %s, event %s", d.Stage, count(d.Attempt, "attempt"), d.Event.ID)
		say(s.W, "%s\n%s", head, term.Wrap(d.Reason, s.Width, "  "))
	}
	if len(run.Notes) > 0 {
		say(s.W, "\nNotes:")
	}
	writeNotes(s, run.Notes)
	return writeOutcome(ctx, a, s, run)
}

// writeNotes tells what stages had to say; a note of no stage is a person's doing.
func writeNotes(s *term.Screen, notes []ledger.Note) {
	for _, n := range notes {
		text := n.Text
		if n.Stage != "" {
			text = n.Stage + ": " + text
		}
		say(s.W, "%s", strings.TrimLeft(term.Wrap(text, s.Width, "  "), " "))
	}
}

// writeOutcome draws curve, comparison and release, as far as the run came.
func writeOutcome(ctx context.Context, a *app.App, s *term.Screen, run ledger.Run) error {
	o, err := outcomeOf(ctx, a, run)
	if err != nil {
		return err
	}
	if o.Adapter != nil {
		fmt.Fprintln(s.W)
		writeCurve(s, *o.Adapter)
	}
	if o.Score != nil {
		fmt.Fprintln(s.W)
		writeScore(s, *o.Score)
	}
	for _, r := range run.Releases {
		fmt.Fprintln(s.W)
		writeRelease(s, r)
	}
	return nil
}
