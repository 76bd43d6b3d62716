package e2e

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/ops/config"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/schemas"
)

// A result is what must not depend on how the work was done.
type result struct {
	Ingested []string // every dataset of the ingest run, see [flow.made]
	Window   string
	Adapter  string          // digest of the adapter's files
	Score    artifact.Digest // of the whole score, samples included
}

// result reads what two settled runs came to.
func (f *flow) result(ingested, trained ledger.Run) result {
	f.t.Helper()
	adapter, _ := output[schemas.AdapterRow](f, trained, schemas.Adapter)
	_, score := output[schemas.ScoreRow](f, trained, schemas.Score)
	return result{f.made(ingested.ID), adapter.Window, adapter.Files, score}
}

// undisturbed is what logs come to under c in one process that nobody disturbs.
func undisturbed(t *testing.T, c config.Config, logs string) result {
	t.Helper()
	f := join(t, c, true)
	defer f.stop()
	return f.result(f.ingest(logs), f.train("train"))
}

// TestKilled kills a process at four unpleasant moments, one after the other in
// the same directory. The last process finishes the work, and nobody can tell
// from what it left that there were others.
func TestKilled(t *testing.T) {
	t.Parallel()
	model := base(t)
	logs, _ := conversations(t, 3, 90)
	want := undisturbed(t, settings(t, model), logs)

	c := settings(t, model)
	during := func(h halt, order func(*flow)) {
		t.Helper()
		p := launch(t, part{Config: c, Halt: h})
		f := join(t, c, false)
		order(f)
		p.await(halted)
		f.stop()
		p.kill()
	}
	nothing := func(*flow) {}
	during(halt{"clean", started, 4}, func(f *flow) { f.order(logs) })
	during(halt{"clean", committed, 3}, nothing)
	p := launch(t, part{Config: c})
	f := join(t, c, false)
	ingested := f.ingest(logs)
	f.stop()
	p.stop()
	during(halt{"train", reporting, 7}, func(f *flow) {
		if err := f.Train(t.Context(), "train", "e2e", schemas.TrainOrder{Reason: "test"}); err != nil {
			t.Fatal(err)
		}
	})
	during(halt{"train", committed, 1}, nothing)
	p = launch(t, part{Config: c})
	f = join(t, c, false)
	got := f.result(ingested, f.settled("train"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("killed and undisturbed differ (-undisturbed +killed):\n%s", diff)
	}
	if attempt, first := f.resumed("train"); attempt != 2 || first != 5 {
		t.Errorf("attempt %d began with step %d, want the second to go on from the checkpoint after step 4", attempt, first)
	}
	f.stop()
	p.stop()
}

// resumed tells of the last attempt that trained, and which step it began with.
func (f *flow) resumed(run string) (attempt int, first int64) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	for m, err := range f.Metrics(ctx, run) {
		if err != nil {
			f.t.Fatal(err)
		}
		if m.Stage != "train" || m.Progress.Values == nil {
			continue
		}
		if m.Attempt > attempt {
			attempt, first = m.Attempt, m.Progress.Done
		}
		if attempt > 1 && m.Progress.Done == m.Progress.Total {
			break
		}
	}
	return attempt, first
}
