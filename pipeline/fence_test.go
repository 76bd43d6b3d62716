package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/pipeline/pipelinetest"
	"github.com/glmflow/glmflow/schemas"
)

// TestDuplicateDelivery: an event that comes again, past the broker's own
// deduplication, does nothing.
func TestDuplicateDelivery(t *testing.T) {
	b := newBench(t)
	in := raw("hello")
	ev := in.Event(t, b.store)
	body, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := b.broker.Conn().Publish(broker.DataSubject(schemas.DialogueRaw), body); err != nil {
			t.Fatal(err)
		}
	}
	b.work(scrub())
	b.settled(3)
	b.idle("scrub")
	if n := len(pipelinetest.Events(t, b.broker, schemas.DialogueClean)); n != 1 {
		t.Errorf("%d outputs of one event, want 1", n)
	}
}

// TestStalledJobIsTakenAway: no sign of life for a lease cancels the job with its
// cause, and the next attempt succeeds. A job that reports lives on.
func TestStalledJobIsTakenAway(t *testing.T) {
	b := newBench(t)
	causes := make(chan error, 1)
	cfg := b.config(onDue(pipeline.Spec{Lease: 400 * time.Millisecond}, func(ctx context.Context, job *pipeline.Job) error {
		if job.Attempt() == 1 {
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return ctx.Err()
		}
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := range int64(40) { // two leases
			<-tick.C
			job.Report(pipeline.Progress{Done: i})
		}
		return ctx.Err()
	}))
	cfg.AckWait = time.Second
	pipelinetest.Work(t, cfg)
	b.send(due("x"))
	if cause := pipelinetest.Receive(t, "a cancelled job", causes); !errors.Is(cause, pipeline.ErrStalled) {
		t.Errorf("cause %v", cause)
	}
	results := b.settled(2)
	if diff := cmp.Diff([]pipeline.Result{pipeline.Retried, pipeline.Done}, results); diff != "" {
		t.Error(diff)
	}
	b.idle("toy")
}

// TestStaleWorkerCannotCommit: a worker that hung for longer than the
// acknowledgement wait finds the job done by another, and its outputs are dropped.
func TestStaleWorkerCannotCommit(t *testing.T) {
	b := newBench(t)
	release := make(chan struct{})
	var runs atomic.Int32
	cfg := b.config(onDue(pipeline.Spec{Workers: 2, Lease: time.Second}, func(ctx context.Context, job *pipeline.Job) error {
		if err := pipeline.Emit(job, schemas.Adapter, schemas.AdapterRow{Name: "m"}); err != nil {
			return err
		}
		if runs.Add(1) == 1 {
			<-release // hangs, deaf to ctx, and then claims success
		}
		return nil
	}))
	cfg.AckWait = time.Second // with the lease, long enough for the second attempt on a busy machine
	pipelinetest.Work(t, cfg)
	b.send(due("x"))
	pipelinetest.Eventually(t, "the second worker's record", func() bool { return len(pipelinetest.Dones(t, b.broker)) == 1 })
	close(release)
	b.settled(2)
	b.idle("toy")
	if n := len(pipelinetest.Events(t, b.broker, schemas.Adapter)); n != 1 {
		t.Errorf("%d adapters, want 1", n)
	}
}

// TestTwoWorkersOneCommit races two workers that both believe in their lease to
// the very commit.
func TestTwoWorkersOneCommit(t *testing.T) {
	b := newBench(t)
	var inside sync.WaitGroup
	inside.Add(2)
	ev := due("x").Event(t, b.store)
	body, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the same event twice, as two workers would have it
		if err := b.broker.Conn().Publish(broker.EventSubject(schemas.TrainDue), body); err != nil {
			t.Fatal(err)
		}
	}
	b.work(onDue(pipeline.Spec{Workers: 2}, func(ctx context.Context, job *pipeline.Job) error {
		inside.Done()
		inside.Wait()
		return pipeline.Emit(job, schemas.Adapter, schemas.AdapterRow{Name: "m"})
	}))
	results := b.settled(2)
	if !(results[0] == pipeline.Done && results[1] == pipeline.Repeated) && !(results[1] == pipeline.Done && results[0] == pipeline.Repeated) {
		t.Errorf("results %v, want one done and one repeated", results)
	}
	if n := len(pipelinetest.Events(t, b.broker, schemas.Adapter)); n != 1 {
		t.Errorf("%d adapters, want 1", n)
	}
}

// TestHolds: two stages that hold the same resource never run at once, and the
// one that waits longer than its lease for its turn is not taken for stalled.
func TestHolds(t *testing.T) {
	b := newBench(t)
	var inside, most atomic.Int32
	exclusive := func(name string) pipeline.Stage {
		return onDue(pipeline.Spec{Name: name, Holds: "device", Workers: 2, Lease: 400 * time.Millisecond}, func(ctx context.Context, job *pipeline.Job) error {
			most.Store(max(most.Load(), inside.Add(1)))
			defer inside.Add(-1)
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for range 8 { // four such jobs take longer than the lease
				<-tick.C
				job.Report(pipeline.Progress{})
			}
			return ctx.Err()
		})
	}
	b.work(exclusive("one"), exclusive("two"))
	b.send(due("x"), due("y"))
	for _, r := range b.settled(4) {
		if r != pipeline.Done {
			t.Errorf("a job was %s", r)
		}
	}
	if most.Load() != 1 {
		t.Errorf("%d jobs held the device at once", most.Load())
	}
	b.idle("one")
	b.idle("two")
}

// TestCompareAndSetIsRetried: a hand-over whose expectation fails is tried again
// as a whole, with nothing left of the first.
func TestCompareAndSetIsRetried(t *testing.T) {
	b := newBench(t)
	alias := func(id string) schemas.Event {
		ev, err := schemas.NewEvent(schemas.ModelAlias, id, "", time.Unix(1, 0), schemas.AliasChange{Action: "promote"})
		if err != nil {
			t.Fatal(err)
		}
		ev.Subject = "m"
		return ev
	}
	b.work(onDue(pipeline.Spec{}, func(ctx context.Context, job *pipeline.Job) error {
		_, seq, _, err := b.broker.Last(ctx, broker.ModelSubject("m"))
		if err != nil {
			return err
		}
		if job.Attempt() == 1 { // somebody else is faster
			ev := alias("other")
			ev.Source = "/glmflow/test"
			if _, err := b.broker.Publish(ctx, ev); err != nil {
				return err
			}
		}
		if err := pipeline.Emit(job, schemas.Adapter, schemas.AdapterRow{Name: "m"}); err != nil {
			return err
		}
		return job.Post(alias(""), pipeline.ExpectLast(seq))
	}))
	b.send(due("x"))
	if diff := cmp.Diff([]pipeline.Result{pipeline.Retried, pipeline.Done}, b.settled(2)); diff != "" {
		t.Error(diff)
	}
	if n := len(pipelinetest.Events(t, b.broker, schemas.Adapter)); n != 1 {
		t.Errorf("%d adapters, want 1", n)
	}
	if n := len(pipelinetest.Events(t, b.broker, schemas.ModelAlias)); n != 2 {
		t.Errorf("%d entries of the model's history, want 2", n)
	}
}

// TestHandOverLimit: a job may hand over as much as one batch takes beside its
// done record; with one event more it hands over nothing.
func TestHandOverLimit(t *testing.T) {
	b := newBench(t)
	b.work(onDue(pipeline.Spec{Attempts: 1}, func(ctx context.Context, job *pipeline.Job) error {
		n := broker.MaxBatch - 1
		if strings.Contains(string(job.Event().Data), "too many") {
			n++
		}
		for range n {
			if err := job.Post(schemas.Event{Type: schemas.TrainRequest, Data: json.RawMessage(`{}`)}); err != nil {
				return err
			}
		}
		return nil
	}))
	b.send(due("just enough"), due("too many"))
	b.settled(2)
	b.idle("toy")
	if n := len(pipelinetest.Events(t, b.broker, schemas.TrainRequest)); n != broker.MaxBatch-1 {
		t.Errorf("%d events, want %d", n, broker.MaxBatch-1)
	}
	if deads := pipelinetest.Deads(t, b.broker); len(deads) != 1 || !strings.Contains(deads[0].Reason, "at most 1000") {
		t.Errorf("dead letters: %+v", deads)
	}
}

// TestStoreFaults breaks the n-th operation on the store, for every n: the job is
// done in the end, once.
func TestStoreFaults(t *testing.T) {
	b := newBench(t)
	faults := pipelinetest.NewFaults()
	b.store = pipelinetest.Store(t, faults.Option())
	b.work(scrub())
	seen := 0
	for n := 0; n <= seen; n++ {
		in := raw(fmt.Sprintf("hello %d", n), "junk")
		ev := in.Event(t, b.store)
		faults.FailAfter(n)
		if _, err := b.broker.Publish(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
		pipelinetest.Eventually(t, fmt.Sprintf("the job with fault %d", n), func() bool { return len(pipelinetest.Dones(t, b.broker)) == n+1 })
		b.idle("scrub")
		seen = max(seen, faults.Seen())
		faults.FailAfter(-1)
	}
	if seen < 5 {
		t.Errorf("a job makes only %d operations on the store", seen)
	}
	if n := len(pipelinetest.Events(t, b.broker, schemas.DialogueClean)); n != seen+1 {
		t.Errorf("%d outputs of %d jobs", n, seen+1)
	}
}
