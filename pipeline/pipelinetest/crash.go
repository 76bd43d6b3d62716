package pipelinetest

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/schemas"
)

// A house is a directory with a broker and a store, in which processes come and go.
type house struct {
	*testing.T
	dir    string
	store  *artifact.Store
	broker *broker.Broker
	stop   func()
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{T: t, dir: t.TempDir()}
	store, err := artifact.Open(t.Context(), filepath.Join(h.dir, "artifacts"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	h.store = store
	h.broker, h.stop = StartBroker(t, filepath.Join(h.dir, "broker"))
	return h
}

// reopen is what the next process does after a crash.
func (h *house) reopen() {
	h.Helper()
	h.stop()
	h.broker, h.stop = StartBroker(h.T, filepath.Join(h.dir, "broker"))
}

func (h *house) send(inputs ...Input) {
	h.Helper()
	for _, in := range inputs {
		if _, err := h.broker.Publish(h.Context(), in.Event(h.T, h.store)); err != nil {
			h.Fatal(err)
		}
	}
}

// run works with stage until ctx is cancelled or the broker closed, and returns
// what the runner returned.
func (h *house) run(ctx context.Context, stage pipeline.Stage, o pipeline.Observer) error {
	h.Helper()
	r, err := pipeline.NewRunner(pipeline.RunnerConfig{
		Broker: h.broker, Store: h.store, Stages: []pipeline.Stage{stage}, Observer: o,
		Backoff: func(int) time.Duration { return time.Millisecond },
	})
	if err != nil {
		h.Fatal(err)
	}
	return r.Run(ctx)
}

// finish works until n jobs have their outcome.
func (h *house) finish(stage pipeline.Stage, n int) {
	h.Helper()
	if n == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(h.Context(), 3*deadline)
	defer cancel()
	var settled sync.Map
	var count atomic.Int64
	err := h.run(ctx, stage, pipeline.Observer{JobFinished: func(j pipeline.JobInfo, o pipeline.Outcome) {
		switch o.Result {
		case pipeline.Done, pipeline.Parked, pipeline.Repeated, pipeline.Cancelled:
			if _, known := settled.LoadOrStore(j.Event.ID, true); !known && count.Add(1) == int64(n) {
				cancel()
			}
		case pipeline.Retried, pipeline.Waiting, pipeline.Drained:
			h.Logf("%s: %v", o.Result, o.Err)
		}
	}})
	if err != nil {
		h.Fatal(err)
	}
	if got := int(count.Load()); got != n {
		h.Fatalf("%d of %d jobs came to an end", got, n)
	}
}

// patient allows a stage enough attempts for the crashes of the suite.
type patient struct{ pipeline.Stage }

func (p patient) Spec() pipeline.Spec {
	s := p.Stage.Spec()
	s.Attempts = max(s.Attempts, 5)
	s.Workers = 1
	return s
}

// holds checks that the broker has what the undisturbed jobs made, once each,
// and nothing else of this stage.
func (h *house) holds(name string, want []made) {
	h.Helper()
	if dones := Dones(h.T, h.broker); len(dones) != len(want) {
		h.Errorf("%d jobs are done, want %d", len(dones), len(want))
	}
	got := map[string][]schemas.Event{}
	for _, ev := range append(messages[schemas.Event](h.T, h.broker, broker.AllData),
		append(messages[schemas.Event](h.T, h.broker, broker.AllEvents), messages[schemas.Event](h.T, h.broker, broker.AllModels)...)...) {
		if ev.Source == "/glmflow/"+name {
			got[ev.ID] = append(got[ev.ID], ev)
		}
	}
	for _, m := range want {
		for _, ev := range m.Outputs {
			stored := got[ev.ID]
			if len(stored) != 1 {
				h.Errorf("the %s %s is there %d times", ev.Type, ev.ID, len(stored))
				continue
			}
			if diff := cmp.Diff(decoded(h.T, ev.Data), decoded(h.T, stored[0].Data)); diff != "" {
				h.Errorf("the %s %s is not what an undisturbed job makes:\n%s", ev.Type, ev.ID, diff)
			}
			delete(got, ev.ID)
		}
	}
	for id, extra := range got {
		h.Errorf("the %s %s is one too many", extra[0].Type, id)
	}
}

// crashBefore loses everything right after the first job's Run has returned.
func (x *exercise) crashBefore(t *testing.T) {
	h := newHouse(t)
	h.send(x.fixture.Inputs...)
	crash := Wrapped{x.stage(), func(ctx context.Context, job *pipeline.Job, run func(context.Context, *pipeline.Job) error) error {
		defer h.broker.Conn().Close()
		return run(ctx, job)
	}}
	if err := h.run(t.Context(), patient{crash}, pipeline.Observer{}); !errors.Is(err, pipeline.ErrBrokerClosed) {
		t.Fatalf("the crash did not happen: %v", err)
	}
	h.reopen()
	if dones := Dones(t, h.broker); len(dones) != 0 {
		t.Errorf("%d jobs are done before any hand-over", len(dones))
	}
	h.finish(patient{x.stage()}, len(x.fixture.Inputs))
	h.holds(x.stage().Spec().Name, x.want)
}

// crashAfter loses everything between the first job's hand-over and its
// acknowledgement.
func (x *exercise) crashAfter(t *testing.T) {
	h := newHouse(t)
	h.send(x.fixture.Inputs...)
	err := h.run(t.Context(), patient{x.stage()}, pipeline.Observer{JobFinished: func(_ pipeline.JobInfo, o pipeline.Outcome) {
		if o.Result != pipeline.Done && !h.broker.Conn().IsClosed() {
			t.Errorf("the first job was %s: %v", o.Result, o.Err)
		}
		h.broker.Conn().Close()
	}})
	if !errors.Is(err, pipeline.ErrBrokerClosed) {
		t.Fatalf("the crash did not happen: %v", err)
	}
	h.reopen()
	if dones := Dones(t, h.broker); len(dones) != 1 {
		t.Errorf("%d jobs are done, want the one that was handed over", len(dones))
	}
	h.finish(patient{x.stage()}, len(x.fixture.Inputs))
	h.holds(x.stage().Spec().Name, x.want)
}

// cancel stops the process at the beginning of the first job, and then half-way
// through its reports.
func (x *exercise) cancel(t *testing.T) {
	for name, at := range map[string]int{"at the start": 0, "half-way": (x.reports + 1) / 2} {
		if at == 0 && name != "at the start" {
			continue // the stage reports nothing
		}
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.send(x.fixture.Inputs...)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var reports atomic.Int64
			err := h.run(ctx, patient{x.stage()}, pipeline.Observer{
				JobStarted: func(pipeline.JobInfo) {
					if at == 0 {
						cancel()
					}
				},
				JobProgress: func(pipeline.JobInfo, pipeline.Progress) {
					if int(reports.Add(1)) == at {
						cancel()
					}
				},
				JobFinished: func(_ pipeline.JobInfo, o pipeline.Outcome) {
					if o.Result != pipeline.Drained && o.Result != pipeline.Done {
						t.Errorf("the cancelled job was %s: %v", o.Result, o.Err)
					}
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			h.reopen()
			settled := len(Dones(t, h.broker)) + len(Deads(t, h.broker))
			h.finish(patient{x.stage()}, len(x.fixture.Inputs)-settled)
			h.holds(x.stage().Spec().Name, x.want)
		})
	}
}

// poison sends a job that cannot succeed ahead of one that can.
func (x *exercise) poison(t *testing.T) {
	h := newHouse(t)
	h.send(*x.fixture.Poison, x.fixture.Inputs[0])
	h.finish(patient{x.stage()}, 2)
	deads := Deads(t, h.broker)
	if len(deads) != 1 {
		t.Fatalf("%d dead letters, want one", len(deads))
	}
	if d := deads[0]; d.Reason == "" || d.Attempt != 1 || d.Event.ID != x.fixture.Poison.Event(t, h.store).ID {
		t.Errorf("dead letter of event %s after %d attempts, reason %q: want the poison's, after one, with a reason", d.Event.ID, d.Attempt, d.Reason)
	}
	h.holds(x.stage().Spec().Name, x.want[:1])
}
