package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/term"
	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/schemas"
)

// A reject counts the rows that one rule dropped.
type reject struct {
	stage, rule string
	rows        int64
	example     string // where the first one lies, and why
}

// writeRejects says what a run dropped and why.
func writeRejects(ctx context.Context, a *app.App, s *term.Screen, run string) error {
	rejects, err := countRejects(ctx, a, run)
	if err != nil || len(rejects) == 0 {
		return err
	}
	say(s.W, "\nRejected, each row kept with its reason:")
	table, examples := [][]string{{"stage", "rule", "rows"}}, []string{""}
	for _, r := range rejects {
		table, examples = append(table, []string{r.stage, r.rule, digits(r.rows)}), append(examples, r.example)
	}
	writeNoted(s, s.Table(table, 2), examples)
	return nil
}

// writeNoted writes a table with a note below each row that has one: sentences
// are read whole, on any terminal.
func writeNoted(s *term.Screen, table string, notes []string) {
	for i, row := range strings.Split(strings.TrimSuffix(table, "\n"), "\n") {
		say(s.W, "%s", row)
		if notes[i] != "" {
			say(s.W, "%s", s.Style(term.Faint, term.Wrap(notes[i], s.Width, "    ")))
		}
	}
}

// example says where a row lies and why it was dropped; whole files have no line.
func example(r schemas.Reject) string {
	place := r.Origin.File
	if r.Origin.Line > 0 {
		place = fmt.Sprintf("%s:%d", place, r.Origin.Line)
	}
	return place + ": " + strings.TrimPrefix(r.Reason, r.Origin.File+": ")
}

// countRejects reads a run's rejected rows, in the order of the flow and then
// the most frequent rule first.
func countRejects(ctx context.Context, a *app.App, run string) ([]reject, error) {
	var found []reject
	for ev, err := range a.Ledger.Events(ctx, run) {
		if err != nil {
			return nil, err
		}
		if ev.Type != schemas.DialogueReject {
			continue
		}
		var d schemas.Dataset
		if err := ev.Decode(&d); err != nil {
			return nil, err
		}
		for row, err := range pipeline.RowsOf[schemas.Reject](ctx, a.Store, d) {
			if err != nil {
				return nil, err
			}
			i := slices.IndexFunc(found, func(r reject) bool { return r.stage == row.Stage && r.rule == row.Rule })
			if i < 0 {
				i = len(found)
				found = append(found, reject{stage: row.Stage, rule: row.Rule, example: example(row)})
			}
			found[i].rows++
		}
	}
	slices.SortFunc(found, func(a, b reject) int {
		return cmp.Or(slices.Index(rowStages(), a.stage)-slices.Index(rowStages(), b.stage), cmp.Compare(b.rows, a.rows), strings.Compare(a.rule, b.rule))
	})
	return found, nil
}
