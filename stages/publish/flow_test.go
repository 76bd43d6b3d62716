package publish

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/pipeline/pipelinetest"
	"github.com/glmflow/glmflow/pipeline/window"
	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/schemas/parquetio"
)

// trainer stands in for train: it hands an adapter on at once.
type trainer struct{}

func (trainer) Spec() pipeline.Spec {
	return pipeline.Spec{Name: "train", In: []schemas.Kind{schemas.TrainDue}, Out: []schemas.Kind{schemas.Adapter}}
}

func (trainer) Run(ctx context.Context, job *pipeline.Job) error {
	var due schemas.TrainJob
	if err := job.Event().Decode(&due); err != nil {
		return pipeline.Park(err)
	}
	files, err := job.Store().PutTree(ctx, adapterFiles)
	if err != nil {
		return err
	}
	return pipeline.Emit(job, schemas.Adapter, schemas.AdapterRow{
		Name: due.Model, Method: "lora", Files: string(files), Base: "sha256:base", Window: due.Window, Config: fmt.Sprintf("{%q:1}", due.Reason),
	})
}

// judge stands in for evaluate: it refuses what an order called bad.
type judge struct{}

func (judge) Spec() pipeline.Spec {
	return pipeline.Spec{Name: "evaluate", In: []schemas.Kind{schemas.Adapter}, Out: []schemas.Kind{schemas.Score}}
}

func (judge) Run(_ context.Context, job *pipeline.Job) error {
	for row, err := range pipeline.Rows[schemas.AdapterRow](job) {
		if err != nil {
			return err
		}
		passed := !strings.Contains(row.Config, "bad")
		score := schemas.ScoreRow{Candidate: "adapter", Baseline: "base", Data: row.Window, Passed: passed, Adapter: &row,
			Rules: []schemas.RuleResult{{Rule: "good", Passed: passed, Detail: "by order"}}}
		if err := pipeline.Emit(job, schemas.Score, score); err != nil {
			return err
		}
	}
	return nil
}

// A plant is the second half of the flow, in two processes' worth of runners.
type plant struct {
	t      *testing.T
	broker *broker.Broker
	store  *artifact.Store
	ledger *ledger.Ledger
}

func newPlant(t *testing.T) *plant {
	p := &plant{t: t, broker: pipelinetest.Broker(t), store: pipelinetest.Store(t)}
	specs := []pipeline.Spec{{Name: window.Name, In: []schemas.Kind{schemas.TrainRequest}}, trainer{}.Spec(), judge{}.Spec(), {Name: "publish", In: []schemas.Kind{schemas.Score}}}
	for range 2 {
		l, err := ledger.Open(t.Context(), p.broker, specs, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		cutter, err := window.New(window.DefaultConfig(), l)
		if err != nil {
			t.Fatal(err)
		}
		publish, err := New(DefaultConfig(), Deps{Models: l, Key: key(t)})
		if err != nil {
			t.Fatal(err)
		}
		pipelinetest.Work(t, pipeline.RunnerConfig{Broker: p.broker, Store: p.store, Stages: []pipeline.Stage{cutter, trainer{}, judge{}, publish}})
		p.ledger = l
	}
	return p
}

// arrive brings n conversations that never were there before.
func (p *plant) arrive(run string, n int) {
	p.t.Helper()
	var file bytes.Buffer
	rows, err := parquetio.Write(&file, schemas.Tokens, func(yield func(schemas.TokenRow, error) bool) {
		for i := range n {
			id := fmt.Sprintf("%s-%03d", run, i)
			if !yield(schemas.TokenRow{ID: id, IDs: []int32{1, 2}, Labels: []int32{-100, 2}, Targets: 1, Signature: window.Signature(strings.Repeat(id, 20))}, nil) {
				return
			}
		}
	}, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	digest, err := p.store.PutBytes(p.t.Context(), file.Bytes())
	if err != nil {
		p.t.Fatal(err)
	}
	p.say(schemas.Tokens, run, schemas.Dataset{Kind: schemas.Tokens, Version: 1, Digest: string(digest), Rows: rows})
}

func (p *plant) say(kind schemas.Kind, run string, data any) {
	p.t.Helper()
	ev, err := schemas.NewEvent(kind, "event-"+run, "/glmflow/test", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), data)
	if err != nil {
		p.t.Fatal(err)
	}
	ev.Run, ev.Actor = run, "ann"
	if _, err := p.broker.Publish(p.t.Context(), ev); err != nil {
		p.t.Fatal(err)
	}
}

// order asks for retrainings, one a run, all at once, and waits for their ends.
func (p *plant) order(reason string, runs ...string) []ledger.Run {
	p.t.Helper()
	for _, run := range runs {
		p.say(schemas.TrainRequest, run, schemas.TrainOrder{Reason: reason})
	}
	var ended []ledger.Run
	for _, run := range runs {
		ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
		r, err := p.ledger.Wait(ctx, run, ledger.Run.Settled)
		cancel()
		if err != nil || r.State != ledger.Finished {
			p.t.Fatalf("run %+v, %v", r, err)
		}
		ended = append(ended, r)
	}
	return ended
}

// TestFromOrderToProduction tells the story that schedules, people and the gate
// write together, over the real broker, runner, cutter and ledger.
func TestFromOrderToProduction(t *testing.T) {
	p := newPlant(t)
	expect := func(when string, runs []ledger.Run, releases int, note string, aliases map[string]int64) {
		t.Helper()
		got, notes := 0, ""
		for _, r := range runs {
			got += len(r.Releases)
			notes += fmt.Sprintf("%v", r.Notes)
		}
		if got != releases || !strings.Contains(notes, note) {
			t.Errorf("%s: %d releases, notes %s; want %d and %q", when, got, notes, releases, note)
		}
		m, err := p.ledger.Current(t.Context(), "assistant")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(aliases, m.Aliases); diff != "" {
			t.Errorf("%s: aliases (-want +got):\n%s", when, diff)
		}
	}
	first := map[string]int64{"candidate": 1, "production": 1}
	p.arrive("monday", 30)
	expect("two orders at once", p.order("good", "order-1", "order-2"), 1, "0 conversations are new", first)
	expect("nothing new", p.order("good", "order-3"), 0, "0 conversations are new, 10 needed", first)
	p.arrive("tuesday", 30)
	expect("a bad one", p.order("bad", "order-4"), 1, "assistant:2 is kept as rejected: good", first)
	expect("nothing new since the bad one", p.order("good", "order-5"), 0, "0 conversations are new, 10 needed", first)
	p.arrive("wednesday", 12)
	last := p.order("good", "order-6")
	expect("a good one", last, 1, "window for assistant", map[string]int64{"candidate": 3, "production": 3, "previous": 1})

	release := last[0].Releases[0]
	if _, _, err := Verify(t.Context(), p.store, release, key(t).Public()); err != nil {
		t.Error(err)
	}
	m, err := window.Load(t.Context(), p.store, artifact.Digest(release.Window))
	if err != nil {
		t.Fatal(err)
	}
	if rows := m.Part(window.Train).Rows + m.Part(window.Validation).Rows + m.Part(window.Test).Rows; rows != 42 || len(m.Against) != 1 {
		t.Errorf("the last window holds %d conversations against %v; want what the rejected one gave back and the new ones, 42", rows, m.Against)
	}
	if due := pipelinetest.Events(t, p.broker, schemas.TrainDue); len(due) != 3 {
		t.Errorf("%d windows were cut, want 3", len(due))
	}
	if dead := pipelinetest.Deads(t, p.broker); len(dead) > 0 {
		t.Errorf("dead letters: %+v", dead)
	}
}
