package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/config"
	"github.com/glmflow/glmflow/ops/term"
)

// A finding is what doctor says of one thing.
type finding struct {
	Check  string `json:"check"`
	State  string `json:"state"` // ok, warn or fail
	Detail string `json:"detail"`
	Mend   string `json:"mend,omitempty"` // what to do about it
}

// States of a finding.
const (
	fine  = "ok"
	warn  = "warn"
	broke = "fail"
)

// errUnwell says that a check failed; the findings tell which.
var errUnwell = errors.New("something is broken: see the lines that say fail")

func newDoctorCommand(env Env) *cobra.Command {
	var (
		flow   flowFlags
		ahead  planFlags
		asJSON bool
	)
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check this machine and the configuration, and say how to mend what is wrong",
		Long: `doctor looks at the program, the device, CUDA, the tokenizer, the directory, the
broker, the artifacts, the base model, the signing key and the console's address.
Exit code 1 says that a check failed; warnings leave it at 0.

With --plan it says what a training would take instead: bytes of weights,
gradients, optimizer, activations and workspace, and about the time of a step, on
this machine's device or on a GPU that is not at hand. Nothing is loaded.`,
		Example: `  glmflow doctor
  glmflow doctor --plan --model chatglm3-6b --weights stored --batch-tokens 2048
  glmflow doctor --plan --shape chatglm3-6b --weights bf16 --batch-tokens 16384 --on h100-80gb
  glmflow doctor --plan --method full --weights bf16 --gradient-bits 16 --optimizer-bits 8 --on h100-80gb`,
		Args: wrong(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if ahead.wanted {
				return ahead.run(c, env, asJSON)
			}
			findings := []finding{program()}
			conf, err := flow.config(env)
			if err != nil {
				findings = append(findings, finding{"settings", broke, err.Error(), "mend the file or the GLMFLOW_ variable that it names"})
			} else {
				findings = append(findings, examine(c.Context(), conf)...)
			}
			if asJSON {
				err = writeJSON(c.OutOrStdout(), findings)
			} else {
				err = writeFindings(term.NewScreen(c.OutOrStdout()), findings)
			}
			for _, f := range findings {
				if f.State == broke && err == nil {
					err = errUnwell
				}
			}
			return err
		},
	}
	jsonFlag(c.Flags(), &asJSON)
	flow.add(c.Flags())
	flow.addBase(c.Flags())
	ahead.add(c.Flags())
	return c
}

// examine makes every check that needs a configuration.
func examine(ctx context.Context, c config.Config) []finding {
	var all []finding
	all = append(all, checkDevice(c.Device))
	all = append(all, checkCUDA()...)
	return append(all,
		checkTokenizer(c.Model),
		checkDir(c.Dir),
		checkBroker(ctx, c),
		checkArtifacts(ctx, c),
		checkBase(c.Model.Base),
		checkKey(c),
		checkConsole(c),
	)
}

// writeFindings draws one line a check, and below it how to mend it.
func writeFindings(s *term.Screen, findings []finding) error {
	const gutter = 17
	indent := strings.Repeat(" ", gutter)
	tones := map[string]term.Tone{fine: term.Good, warn: term.Accent, broke: term.Bad}
	for _, f := range findings {
		head := s.Style(tones[f.State], fmt.Sprintf("%-5s", f.State)) + fmt.Sprintf("%-12s", f.Check)
		say(s.W, "%s%s", head, strings.TrimPrefix(term.Wrap(f.Detail, s.Width, indent), indent))
		if f.Mend != "" {
			say(s.W, "%s", term.Wrap("→ "+f.Mend, s.Width, indent))
		}
	}
	return nil
}
