package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/schemas"
)

func newModelsCommand(env Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "models",
		Short: "See published models, move their aliases, verify and export them",
		Long: `A model has versions 1, 2, 3, … and aliases: production is what is used, candidate
what passed the gate last, previous what was production before. REF is
name@alias, name:version, or a digest of a version.`,
		Args: wrong(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newModelsListCommand(env), newModelsShowCommand(env), newModelsHistoryCommand(env),
		newModelsPromoteCommand(env), newModelsRollbackCommand(env), newModelsVerifyCommand(env), newModelsExportCommand(env))
	return c
}

// findModel finds a model that has something published.
func findModel(a *app.App, name string) (ledger.Model, error) {
	m := a.Ledger.Model(name)
	if len(m.History) > 0 {
		return m, nil
	}
	var names []string
	for _, m := range a.Ledger.Models() {
		names = append(names, m.Name)
	}
	if len(names) == 0 {
		return m, fmt.Errorf("no model %q: nothing is published yet (`glmflow train --wait` does that)", name)
	}
	return m, fmt.Errorf("no model %q: there is %s", name, strings.Join(names, ", "))
}

// aliasesOf lists the aliases of a version.
func aliasesOf(m ledger.Model, version int64) string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(m.Aliases)) {
		if m.Aliases[name] == version {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// moves says how aliases changed: "production → 3, previous → 2".
func moves(aliases map[string]int64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(aliases)) {
		to := "-"
		if v := aliases[name]; v != 0 {
			to = digits(v)
		}
		parts = append(parts, name+" → "+to)
	}
	return strings.Join(parts, ", ")
}

// gate says what the gate thought of a version.
func gate(r schemas.ReleaseRow) string {
	if r.Passed {
		return "passed"
	}
	return "refused: " + strings.Join(r.Failed, "; ")
}

// checkReason asks for what stays in the history.
func checkReason(reason string) error {
	if strings.TrimSpace(reason) == "" {
		return usagef("--reason is empty: say why, it stays in the model's history")
	}
	return nil
}
