package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/pipelinetest"
	"github.com/glmflow/glmflow/schemas"
)

func TestTwoStages(t *testing.T) {
	b := newBench(t)
	b.work(scrub(), split())
	b.send(raw("HELLO", "junk", "Bye"), raw("Third"))
	pipelinetest.Eventually(t, "three tokens datasets", func() bool { return len(pipelinetest.Events(t, b.broker, schemas.Tokens)) == 3 })
	b.idle("scrub")
	b.idle("split")

	var contents, firsts []string
	for _, ev := range pipelinetest.Events(t, b.broker, schemas.DialogueClean) {
		var d schemas.Dataset
		if err := ev.Decode(&d); err != nil {
			t.Fatal(err)
		}
		if ev.Run != "run-test" || ev.Actor != "tester" || ev.Cause == "" || ev.Source != "/glmflow/scrub" {
			t.Errorf("the output does not say where it comes from: %+v", ev)
		}
		for row, err := range pipeline.RowsOf[schemas.Dialogue](t.Context(), b.store, d) {
			if err != nil {
				t.Fatal(err)
			}
			contents = append(contents, row.Turns[0].Content)
		}
	}
	for _, ev := range pipelinetest.Events(t, b.broker, schemas.Tokens) {
		var d schemas.Dataset
		if err := ev.Decode(&d); err != nil {
			t.Fatal(err)
		}
		firsts = append(firsts, d.Meta["first"])
	}
	slices.Sort(contents)
	slices.Sort(firsts)
	if diff := cmp.Diff([]string{"bye", "hello", "third"}, contents); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"Bye-2", "HELLO-0", "Third-0"}, firsts); diff != "" {
		t.Error(diff)
	}
	if n := len(pipelinetest.Events(t, b.broker, schemas.DialogueReject)); n != 1 {
		t.Errorf("%d reject datasets, want 1: empty ones are not emitted", n)
	}
	if dones := pipelinetest.Dones(t, b.broker); len(dones) != 4 {
		t.Errorf("%d done records, want 4", len(dones))
	}
	if _, err := b.store.Load(t.Context(), "scrub"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("state stays behind: %v", err)
	}
}

func TestParked(t *testing.T) {
	b := newBench(t)
	b.work(scrub())
	b.send(raw("fine", "poison"), raw("good"))
	b.settled(2)
	b.idle("scrub")
	deads := pipelinetest.Deads(t, b.broker)
	if len(deads) != 1 || deads[0].Reason != "poisoned" || deads[0].Attempt != 1 || deads[0].Stage != "scrub" {
		t.Fatalf("dead letters: %+v", deads)
	}
	want := raw("fine", "poison").Event(t, b.store)
	if diff := cmp.Diff(want, deads[0].Event); diff != "" {
		t.Errorf("the dead letter holds another event: %s", diff)
	}
	if n := len(pipelinetest.Events(t, b.broker, schemas.DialogueClean)); n != 1 {
		t.Errorf("%d outputs, want 1: a parked job hands over nothing", n)
	}
}

func TestRetryThenSuccess(t *testing.T) {
	b := newBench(t)
	b.work(onDue(pipeline.Spec{}, func(ctx context.Context, job *pipeline.Job) error {
		switch job.Attempt() {
		case 1:
			return errors.New("not yet")
		case 2:
			panic("at the second")
		}
		return nil
	}))
	b.send(due("x"))
	b.settled(3)
	b.idle("toy")
	if diff := cmp.Diff([]pipeline.Result{pipeline.Retried, pipeline.Retried, pipeline.Done}, b.results()); diff != "" {
		t.Error(diff)
	}
	var p *pipeline.Panic
	if err := b.outcomes[1].Err; !errors.As(err, &p) || !strings.Contains(p.Stack, "runner_test.go") {
		t.Errorf("the panic became %v", err)
	}
	if dones := pipelinetest.Dones(t, b.broker); len(dones) != 1 || dones[0].Attempt != 3 {
		t.Errorf("done records %+v, want one of attempt 3", dones)
	}
}

func TestAttemptsRunOut(t *testing.T) {
	b := newBench(t)
	b.work(onDue(pipeline.Spec{Attempts: 3}, func(ctx context.Context, job *pipeline.Job) error {
		return fmt.Errorf("error %d", job.Attempt())
	}))
	b.send(due("x"))
	b.settled(3)
	b.idle("toy")
	deads := pipelinetest.Deads(t, b.broker)
	if len(deads) != 1 || deads[0].Attempt != 3 || !strings.Contains(deads[0].Reason, "3 attempts: error 3") {
		t.Errorf("dead letters: %+v", deads)
	}
}

func TestLaterCountsNoAttempt(t *testing.T) {
	b := newBench(t)
	var calls atomic.Int32
	b.work(onDue(pipeline.Spec{Attempts: 2}, func(ctx context.Context, job *pipeline.Job) error {
		if job.Attempt() != 1 {
			return pipeline.Park(fmt.Errorf("attempt %d", job.Attempt()))
		}
		if calls.Add(1) < 5 {
			return pipeline.Later(time.Millisecond, errors.New("the other is not there yet"))
		}
		return nil
	}))
	b.send(due("x"))
	results := b.settled(5)
	if diff := cmp.Diff([]pipeline.Result{pipeline.Waiting, pipeline.Waiting, pipeline.Waiting, pipeline.Waiting, pipeline.Done}, results); diff != "" {
		t.Error(diff)
	}
	b.idle("toy")
}

// TestDrain: a cancelled runner gives its job back at once and uncounted, and the
// next runner goes on from the job's state.
func TestDrain(t *testing.T) {
	b := newBench(t)
	saved := make(chan struct{})
	long := onDue(pipeline.Spec{Attempts: 1}, func(ctx context.Context, job *pipeline.Job) error {
		r, err := job.State().Load(ctx, "step")
		if errors.Is(err, fs.ErrNotExist) {
			err := job.State().Save(ctx, "step", func(w io.Writer) error { _, err := io.WriteString(w, "7"); return err })
			if err != nil {
				return err
			}
			close(saved)
			<-ctx.Done()
			return fmt.Errorf("stopped in the middle: %w", ctx.Err())
		}
		if err != nil {
			return err
		}
		defer r.Close()
		step, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		return pipeline.Emit(job, schemas.Adapter, schemas.AdapterRow{Name: "from step " + string(step)})
	})
	stop := b.work(long)
	b.send(due("x"))
	pipelinetest.Receive(t, "a checkpoint", saved)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	b.work(long)
	results := b.settled(2)
	if diff := cmp.Diff([]pipeline.Result{pipeline.Drained, pipeline.Done}, results); diff != "" {
		t.Error(diff)
	}
	b.idle("toy")
	if ev := pipelinetest.Events(t, b.broker, schemas.Adapter); len(ev) != 1 {
		t.Errorf("%d adapters, want 1", len(ev))
	}
}

// TestParkedCancellation: a stage that parks whatever goes wrong does not lose its
// job to a shutdown.
func TestParkedCancellation(t *testing.T) {
	b := newBench(t)
	inside := make(chan struct{})
	stop := b.work(onDue(pipeline.Spec{}, func(ctx context.Context, job *pipeline.Job) error {
		close(inside)
		<-ctx.Done()
		return pipeline.Park(fmt.Errorf("stopped: %w", ctx.Err()))
	}))
	b.send(due("x"))
	pipelinetest.Receive(t, "the job", inside)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]pipeline.Result{pipeline.Drained}, b.settled(1)); diff != "" {
		t.Error(diff)
	}
}

func TestDeafStageIsNamed(t *testing.T) {
	b := newBench(t)
	inside, release, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
	cfg := b.config(onDue(pipeline.Spec{Name: "deaf"}, func(ctx context.Context, job *pipeline.Job) error {
		close(inside)
		<-release
		return nil
	}))
	cfg.Grace = 10 * time.Millisecond
	cfg.Observer.JobFinished = func(pipeline.JobInfo, pipeline.Outcome) { close(left) }
	stop := pipelinetest.Work(t, cfg)
	b.send(due("x"))
	pipelinetest.Receive(t, "the job", inside)
	if err := stop(); err == nil || !strings.Contains(err.Error(), "stage deaf did not stop") {
		t.Errorf("error %v, want one that names the stage", err)
	}
	close(release)
	pipelinetest.Receive(t, "the end of the job", left)
}
