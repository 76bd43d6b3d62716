package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/term"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/schemas"
)

// trainFlags are the flags of train.
type trainFlags struct {
	flow          flowFlags
	model, reason string
	wait          bool
}

func newTrainCommand(env Env) *cobra.Command {
	var f trainFlags
	c := &cobra.Command{
		Use:   "train",
		Short: "Retrain now on what is fresh",
		Long: `train orders a retraining on the conversations that arrived since the last
published window: the window is cut, a candidate trained, evaluated on what was
held out, and published if the gate lets it pass.

The order is done by ` + "`glmflow up`" + `, wherever it runs. With --wait the command
stays until the verdict and, if nobody serves the flow, does it itself; ingests
that wait are done before. Exit code 3 says that the gate said no.`,
		Example: `  glmflow train --wait --base chatglm3-6b --reason "new return policy"`,
		Args:    wrong(cobra.NoArgs),
		RunE:    func(c *cobra.Command, _ []string) error { return f.run(c, env) },
	}
	flags := c.Flags()
	flags.StringVar(&f.reason, "reason", "manual", "why, for the records")
	flags.StringVar(&f.model, "model", "", "name to publish under; by default the configured one (GLMFLOW_MODEL_NAME)")
	flags.BoolVar(&f.wait, "wait", false, "stay until the verdict")
	f.flow.add(flags)
	f.flow.addBase(flags)
	return c
}

func (f *trainFlags) run(c *cobra.Command, env Env) error {
	return f.flow.with(c, env, func(ctx context.Context, a *app.App) error {
		if !f.wait {
			id, err := f.order(ctx, a)
			if err != nil {
				return err
			}
			say(c.OutOrStdout(), "run %s ordered", id)
			if alone(a) {
				say(c.OutOrStdout(), "the order waits for `glmflow up`; or say --wait to have it done now")
			}
			return nil
		}
		return serving(ctx, a, nil, func(ctx context.Context) error { return f.orderAndWait(ctx, c, env, a) })
	})
}

func (f *trainFlags) order(ctx context.Context, a *app.App) (string, error) {
	id := orderID("train")
	return id, a.Train(ctx, id, actor(), schemas.TrainOrder{Reason: f.reason, Model: f.model})
}

func (f *trainFlags) orderAndWait(ctx context.Context, c *cobra.Command, env Env, a *app.App) error {
	bar := term.NewProgress(term.NewScreen(c.ErrOrStderr()), env.Now)
	for _, r := range a.Ledger.Runs() {
		if r.Kind != schemas.IngestRequest || r.Settled() {
			continue
		}
		if _, err := newFollower(a, bar, env.Now).follow(ctx, r.ID, settled); err != nil {
			return err
		}
	}
	id, err := f.order(ctx, a)
	if err != nil {
		return err
	}
	out := term.NewScreen(c.OutOrStdout())
	say(out.W, "run %s", id)
	run, err := newFollower(a, bar, env.Now).follow(ctx, id, settled)
	if err != nil {
		return err
	}
	if err := trained(ctx, a, out, run); err != nil {
		return err
	}
	return verdict(run)
}

// trained says what came of a retraining.
func trained(ctx context.Context, a *app.App, s *term.Screen, run ledger.Run) error {
	writeNotes(s, run.Notes)
	return writeOutcome(ctx, a, s, run)
}

// verdict is the error that a run ends with.
func verdict(run ledger.Run) error {
	if err := trouble(run); err != nil {
		return err
	}
	for _, r := range run.Releases {
		if !r.Passed {
			return fmt.Errorf("%w: %s", ErrGate, strings.Join(r.Failed, "; "))
		}
	}
	return nil
}

// orderID names an order: no two orders have the same id.
func orderID(verb string) string { return verb + "-" + strings.ToLower(rand.Text()[:8]) }
