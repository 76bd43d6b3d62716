package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/term"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/schemas"
)

// evaluateFlags are the flags of evaluate.
type evaluateFlags struct {
	flow                  flowFlags
	model, baseline, data string
	generate              int
	asJSON                bool
}

func newEvaluateCommand(env Env) *cobra.Command {
	var f evaluateFlags
	c := &cobra.Command{
		Use:   "evaluate --model REF --data FILE",
		Short: "Compare a model with another on conversations",
		Long: `evaluate measures two models on the same conversations: loss and perplexity on
all of them, BLEU and ROUGE of answers to some, and asks the gate's rules.

REF is name@alias, name:version, a digest, a directory, or "base". --data is a
file in any layout that ingest knows, the digest of one that was uploaded, of a
dataset or of a window, or held-out: what the last window kept aside.

It waits for the answer and, if nobody serves the flow, finds it itself. Exit
code 3 says that the gate said no.`,
		Example: `  glmflow evaluate --model assistant@candidate --baseline assistant@production --data held-out
  glmflow evaluate --model assistant:3 --data golden.jsonl --json`,
		Args: wrong(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c, env) },
	}
	flags := c.Flags()
	flags.StringVar(&f.model, "model", "", "model to judge")
	flags.StringVar(&f.data, "data", "", "conversations: a file, a digest, or held-out")
	flags.StringVar(&f.baseline, "baseline", "base", "model to compare it with")
	flags.IntVar(&f.generate, "generate", 0, "answer at most this many conversations; 0 is the configured number")
	jsonFlag(flags, &f.asJSON)
	f.flow.add(flags)
	f.flow.addBase(flags)
	require(c, "model", "data")
	return c
}

// heldOut is what --data calls the test split of the last window.
const heldOut = "held-out"

func (f *evaluateFlags) run(c *cobra.Command, env Env) error {
	if f.generate < 0 {
		return usagef("--generate %d: want 0 (as configured) or more", f.generate)
	}
	model, err := reference(f.model)
	if err != nil {
		return err
	}
	baseline, err := reference(f.baseline)
	if err != nil {
		return err
	}
	if err := f.checkData(); err != nil {
		return err
	}
	return f.flow.with(c, env, func(ctx context.Context, a *app.App) error {
		return serving(ctx, a, []string{"evaluate", "publish"}, func(ctx context.Context) error {
			data, err := f.upload(ctx, a)
			if err != nil {
				return err
			}
			return f.ask(ctx, c, env, a, schemas.EvalOrder{Model: model, Data: data, Baseline: baseline, Limit: f.generate})
		})
	})
}

func (f *evaluateFlags) ask(ctx context.Context, c *cobra.Command, env Env, a *app.App, order schemas.EvalOrder) error {
	id := orderID("eval")
	if err := a.Evaluate(ctx, id, actor(), order); err != nil {
		return err
	}
	bar := term.NewProgress(term.NewScreen(c.ErrOrStderr()), env.Now)
	run, err := newFollower(a, bar, env.Now).follow(ctx, id, func(r ledger.Run) bool { return has(r, schemas.Score) })
	if err != nil {
		return err
	}
	if err := trouble(run); err != nil {
		return err
	}
	o, err := outcomeOf(ctx, a, run)
	if err != nil {
		return err
	}
	if o.Score == nil {
		return fmt.Errorf("run %s ended without a score: see `glmflow runs show %s`", id, id)
	}
	if f.asJSON {
		err = writeJSON(c.OutOrStdout(), o.Score)
	} else {
		writeScore(term.NewScreen(c.OutOrStdout()), *o.Score)
	}
	if err == nil && !o.Score.Passed {
		return fmt.Errorf("%w: %s", ErrGate, failedRules(*o.Score))
	}
	return err
}

func failedRules(s schemas.ScoreRow) string {
	var names []string
	for _, r := range s.Rules {
		if !r.Passed {
			names = append(names, r.Rule)
		}
	}
	return strings.Join(names, "; ")
}

// checkData finds a mistake before anything is started.
func (f *evaluateFlags) checkData() error {
	if f.data == heldOut {
		return nil
	}
	if _, err := artifact.Parse(f.data); err == nil {
		return nil
	}
	info, err := os.Stat(f.data)
	if err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	if info.IsDir() {
		return usagef("--data %s is a directory: name one file, a digest, or %s", f.data, heldOut)
	}
	return nil
}

// upload makes a file something that every machine can read.
func (f *evaluateFlags) upload(ctx context.Context, a *app.App) (string, error) {
	if _, err := artifact.Parse(f.data); err == nil || f.data == heldOut {
		return f.data, nil
	}
	sources, skipped, err := a.Upload(ctx, []string{f.data})
	if err != nil {
		return "", err
	}
	if len(sources) != 1 {
		return "", fmt.Errorf("--data %s: it %s", f.data, skipped[0].Reason)
	}
	return sources[0].Digest, nil
}

// reference makes a directory's name one that other processes understand.
func reference(ref string) (string, error) {
	if info, err := os.Stat(ref); ref == "base" || err != nil || !info.IsDir() {
		return ref, nil
	}
	return filepath.Abs(ref)
}
