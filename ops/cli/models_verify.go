package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/config"
	"github.com/glmflow/glmflow/ops/term"
	"github.com/glmflow/glmflow/pipeline/lineage"
	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/stages/publish"
)

func newModelsVerifyCommand(env Env) *cobra.Command {
	var (
		flow   flowFlags
		asJSON bool
		keys   []string
	)
	c := &cobra.Command{
		Use:   "verify REF|DIR",
		Short: "Check a version's signature and every file, and tell where it came from",
		Long: `verify checks that a trusted key signed the version's statement, that the
statement is about this version, and that every file is there and unaltered; of
a directory, that it holds the files of a statement and no others. Trusted is
the key of this flow's directory, or those named with --key.`,
		Example: `  glmflow models verify assistant@production
  glmflow models verify ./assistant --key UB5…`,
		Args: wrong(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			trusted := keys
			if len(trusted) == 0 {
				conf, err := flow.config(env)
				if err != nil {
					return err
				}
				if trusted, err = ownKey(conf); err != nil {
					return err
				}
			}
			var v verified
			info, err := os.Stat(args[0])
			if err == nil && info.IsDir() {
				v.Statement, v.Signer, err = publish.VerifyDir(c.Context(), os.DirFS(args[0]), trusted...)
			} else {
				err = flow.with(c, env, func(ctx context.Context, a *app.App) error {
					release, err := a.Ledger.Resolve(args[0])
					if err != nil {
						return err
					}
					v.Release = &release
					v.Statement, v.Signer, err = publish.Verify(ctx, a.Store, release, trusted...)
					return err
				})
			}
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), v)
			}
			writeLineage(term.NewScreen(c.OutOrStdout()), v.Statement, v.Signer)
			return nil
		},
	}
	jsonFlag(c.Flags(), &asJSON)
	c.Flags().StringSliceVar(&keys, "key", nil, "public keys to trust (they begin with U), instead of this directory's")
	flow.add(c.Flags())
	return c
}

// A verified version, as --json shows it.
type verified struct {
	Release   *schemas.ReleaseRow `json:"release,omitempty"` // nil of a directory
	Signer    string              `json:"signer"`
	Statement lineage.Statement   `json:"statement"`
}

// ownKey is the public part of the flow's own key. Looking makes none.
func ownKey(c config.Config) ([]string, error) {
	path := app.KeyFile(c)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: this directory has published nothing; say --key with the public key of the one that has, which `glmflow doctor` prints there", path)
	}
	key, err := lineage.OpenKey(path, rand.Reader)
	if err != nil {
		return nil, err
	}
	return []string{key.Public()}, nil
}

// writeLineage tells what a version was made from.
func writeLineage(s *term.Screen, st lineage.Statement, signer string) {
	p := st.Predicate
	say(s.W, "%s %s:%d: the signature is good, all %s are unaltered", s.Style(term.Good, "✓"), p.Name, p.Version, count(len(st.Subject), "file"))
	parent := "-"
	if p.Parent != "" {
		parent = p.Parent
	}
	var splits string
	for _, name := range []string{"train", "validation", "test"} {
		if splits != "" {
			splits += ", "
		}
		splits += digits(p.Rows[name]) + " " + name
	}
	verdict := "refused"
	if p.Evaluation.Passed {
		verdict = "passed"
	}
	// A digest has 71 columns, and is to be copied.
	for _, line := range [][2]string{
		{"signer", signer},
		{"base", p.Base},
		{"parent", parent},
		{"adapter", p.Adapter},
		{"window", p.Window},
		{"rows", splits},
		{"training", fmt.Sprintf("%s, %s, best at step %d, seed %d, on %s", p.Method, count(int(p.Steps), "step"), p.BestStep, p.Seed, p.Device)},
		{"score", p.Evaluation.Score},
		{"gate", verdict},
	} {
		say(s.W, "%-8s %s", line[0], line[1])
	}
	for _, r := range p.Evaluation.Rules {
		say(s.W, "%s", term.Wrap(r.Rule+": "+r.Detail, s.Width, strings.Repeat(" ", len("training "))))
	}
}
