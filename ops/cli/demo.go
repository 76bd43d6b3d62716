package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/demo"
	"github.com/glmflow/glmflow/ops/lang"
	"github.com/glmflow/glmflow/ops/term"
)

func newDemoCommand(env Env) *cobra.Command {
	var (
		flow          flowFlags
		logs, mapping string
		language      string
		seed          uint64
		asJSON        bool
	)
	c := &cobra.Command{
		Use:   "demo",
		Short: "The whole flow once: customer logs in, a better model published, a report",
		Long: `demo takes conversations through all stages on this machine and reports what
happened: a year of generated logs of an invented shop, or your own with --logs;
a tiny ChatGLM3 that is trained on small talk first; one retraining over an
embedded broker. It takes a few minutes. Interrupted, it goes on where it
stopped; finished, it is replaced by the next demo.

The tiny model is kept in the user's cache directory, or in GLMFLOW_CACHE, and
serves the demos of all directories.`,
		Example: `  glmflow demo
  glmflow demo --logs chats/ --lang zh
  glmflow demo --logs tweets.json --mapping docs/examples/twitter_care.mapping.yaml`,
		Args: wrong(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := flow.config(env)
			if err != nil {
				return err
			}
			log, err := flow.logger(conf.Log, c.ErrOrStderr())
			if err != nil {
				return err
			}
			if language == "" {
				language = lang.FromEnviron(env.Environ)
			}
			printer, err := lang.New(language)
			if err != nil {
				return usageError{err}
			}
			o := demo.Options{
				Config: conf, Logs: logs, Seed: seed, Printer: printer, Program: env.Program, Log: log, Now: env.Now,
				Screen: term.NewScreen(c.OutOrStdout()),
			}
			if asJSON {
				o.Screen = term.NewScreen(c.ErrOrStderr())
			}
			if o.Mapping, err = mappingText(mapping); err != nil {
				return err
			}
			report, err := demo.Run(c.Context(), o)
			if errors.Is(err, demo.ErrLogs) {
				return usageError{fmt.Errorf("--logs: %w", err)}
			}
			if errors.Is(err, context.Canceled) {
				return fmt.Errorf("%w; the same command goes on where it stopped", err)
			}
			if err != nil {
				return err
			}
			if asJSON {
				err = lines(c.OutOrStdout()).Encode(report)
			} else {
				report.Write(o.Screen, printer)
			}
			if err == nil && !report.Score.Passed {
				err = ErrGate
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&logs, "logs", "", "your own conversations, a file or a directory, instead of generated ones")
	f.StringVar(&mapping, "mapping", "", "YAML file that says where things lie in logs of another layout")
	f.StringVar(&language, "lang", "", "language of the report: en or zh; by default the terminal's")
	f.Uint64Var(&seed, "seed", 1, "seed of the generated conversations")
	f.BoolVar(&asJSON, "json", false, "print the report as JSON")
	flow.add(f)
	return c
}
