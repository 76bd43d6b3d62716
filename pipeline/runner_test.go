package pipeline_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/pipeline/pipelinetest"
	"github.com/glmflow/glmflow/schemas"
)

// A bench is a broker, a store and a record of what the runner did.
type bench struct {
	*testing.T
	broker *broker.Broker
	store  *artifact.Store

	mu       sync.Mutex
	started  []pipeline.JobInfo
	outcomes []pipeline.Outcome
	reports  []pipeline.Progress
}

func newBench(t *testing.T) *bench {
	t.Parallel()
	return &bench{T: t, broker: pipelinetest.Broker(t), store: pipelinetest.Store(t)}
}

func (b *bench) config(stages ...pipeline.Stage) pipeline.RunnerConfig {
	return pipeline.RunnerConfig{
		Broker: b.broker, Store: b.store, Stages: stages,
		Observer: pipeline.Observers(pipeline.Observer{}, pipeline.Observer{
			JobStarted: func(j pipeline.JobInfo) { b.mu.Lock(); defer b.mu.Unlock(); b.started = append(b.started, j) },
			JobProgress: func(_ pipeline.JobInfo, p pipeline.Progress) {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.reports = append(b.reports, p)
			},
			JobFinished: func(_ pipeline.JobInfo, o pipeline.Outcome) {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.outcomes = append(b.outcomes, o)
			},
		}),
	}
}

func (b *bench) work(stages ...pipeline.Stage) (stop func() error) {
	b.Helper()
	return pipelinetest.Work(b.T, b.config(stages...))
}

func (b *bench) send(inputs ...pipelinetest.Input) {
	b.Helper()
	for _, in := range inputs {
		if _, err := b.broker.Publish(b.Context(), in.Event(b.T, b.store)); err != nil {
			b.Fatal(err)
		}
	}
}

func (b *bench) results() (all []pipeline.Result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range b.outcomes {
		all = append(all, o.Result)
	}
	return all
}

// settled waits for n outcomes.
func (b *bench) settled(n int) []pipeline.Result {
	b.Helper()
	pipelinetest.Eventually(b.T, fmt.Sprintf("%d outcomes", n), func() bool { return len(b.results()) >= n })
	return b.results()
}

// idle checks that stage has nothing left to do, not even to acknowledge.
func (b *bench) idle(stage string) {
	b.Helper()
	pipelinetest.Eventually(b.T, "an idle consumer of "+stage, func() bool {
		c, err := b.broker.JetStream().Consumer(b.Context(), broker.Stream, stage)
		if err != nil {
			b.Fatal(err)
		}
		info, err := c.Info(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		return info.NumPending == 0 && info.NumAckPending == 0
	})
}

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

// TestStalledJobIsTakenAway: no sign of life for a lease cancels the job with its
// cause, and the next attempt succeeds. A job that reports lives on.
func TestStalledJobIsTakenAway(t *testing.T) {
	b := newBench(t)
	causes := make(chan error, 1)
	cfg := b.config(onDue(pipeline.Spec{Lease: 60 * time.Millisecond}, func(ctx context.Context, job *pipeline.Job) error {
		if job.Attempt() == 1 {
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return ctx.Err()
		}
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := range int64(30) { // five leases
			<-tick.C
			job.Report(pipeline.Progress{Done: i})
		}
		return ctx.Err()
	}))
	cfg.AckWait = 150 * time.Millisecond
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
	cfg := b.config(onDue(pipeline.Spec{Workers: 2, Lease: 50 * time.Millisecond}, func(ctx context.Context, job *pipeline.Job) error {
		if err := pipeline.Emit(job, schemas.Adapter, schemas.AdapterRow{Name: "m"}); err != nil {
			return err
		}
		if runs.Add(1) == 1 {
			<-release // hangs, deaf to ctx, and then claims success
		}
		return nil
	}))
	cfg.AckWait = 100 * time.Millisecond
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

// TestHolds: two stages that hold the same resource never run at once, and the
// one that waits longer than its lease for its turn is not taken for stalled.
func TestHolds(t *testing.T) {
	b := newBench(t)
	var inside, most atomic.Int32
	exclusive := func(name string) pipeline.Stage {
		return onDue(pipeline.Spec{Name: name, Holds: "device", Workers: 2, Lease: 80 * time.Millisecond}, func(ctx context.Context, job *pipeline.Job) error {
			most.Store(max(most.Load(), inside.Add(1)))
			defer inside.Add(-1)
			pause, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			<-pause.Done()
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

func TestCancelRun(t *testing.T) {
	b := newBench(t)
	inside := make(chan struct{})
	b.work(onDue(pipeline.Spec{}, func(ctx context.Context, job *pipeline.Job) error {
		close(inside)
		<-ctx.Done()
		return ctx.Err()
	}))
	b.send(due("x"))
	pipelinetest.Receive(t, "the job", inside)
	if err := b.broker.Cancel(t.Context(), "run-test", "ann", "wrong data"); err != nil {
		t.Fatal(err)
	}
	b.settled(1)
	b.send(due("another of the same run"))
	b.settled(2)
	b.idle("toy")
	deads := pipelinetest.Deads(t, b.broker)
	if len(deads) != 2 {
		t.Fatalf("%d dead letters, want 2", len(deads))
	}
	for _, d := range deads {
		if d.Reason != "cancelled by ann: wrong data" {
			t.Errorf("reason %q", d.Reason)
		}
	}
}

// TestForeignEventAndReply: a bare JSON order from any NATS client is answered on
// the subject it names.
func TestForeignEventAndReply(t *testing.T) {
	b := newBench(t)
	answers, err := b.broker.Conn().SubscribeSync("crm.answers")
	if err != nil {
		t.Fatal(err)
	}
	b.work(toy{pipeline.Spec{Name: "judge", In: []schemas.Kind{schemas.EvalRequest}, Out: []schemas.Kind{schemas.Score}}, func(ctx context.Context, job *pipeline.Job) error {
		var order schemas.EvalOrder
		if err := job.Event().Decode(&order); err != nil {
			return pipeline.Park(err)
		}
		ev, err := schemas.NewEvent(schemas.Score, "", "", time.Time{}, schemas.ScoreRow{Candidate: order.Model, Passed: true})
		if err != nil {
			return err
		}
		ev.Time = time.Time{}
		if err := job.Post(ev, pipeline.To(order.Reply)); err != nil {
			return pipeline.Park(err)
		}
		return nil
	}})
	for _, order := range []string{`{"model":"m@candidate","reply":"crm.answers"}`, `{"model":"m","reply":"glmflow.event.train.due"}`, `{"model":"m","reply":"$JS.API.STREAM.PURGE.GLMFLOW"}`, `broken`} {
		if err := b.broker.Conn().Publish("glmflow.event.eval.request", []byte(order)); err != nil {
			t.Fatal(err)
		}
	}
	m, err := answers.NextMsg(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var ev schemas.Event
	var row schemas.ScoreRow
	if err := json.Unmarshal(m.Data, &ev); err != nil {
		t.Fatal(err)
	}
	if err := ev.Decode(&row); err != nil || row.Candidate != "m@candidate" || ev.Cause != "1" {
		t.Errorf("answer %+v (%v), cause %q", row, err, ev.Cause)
	}
	b.settled(4)
	b.idle("judge")
	deads := pipelinetest.Deads(t, b.broker)
	if len(deads) != 3 {
		t.Fatalf("%d dead letters, want those of two bad subjects and one broken message", len(deads))
	}
	if n := len(pipelinetest.Events(t, b.broker, schemas.TrainDue)); n != 0 {
		t.Error("a stranger wrote a train.due by way of a reply")
	}
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

func TestMetrics(t *testing.T) {
	b := newBench(t)
	sub, err := b.broker.Conn().SubscribeSync(broker.AllMetrics)
	if err != nil {
		t.Fatal(err)
	}
	cfg := b.config(onDue(pipeline.Spec{Name: "train"}, func(ctx context.Context, job *pipeline.Job) error {
		for i := range int64(100) {
			job.Report(pipeline.Progress{Done: i, Total: 100})
		}
		for i := range int64(20) {
			job.Report(pipeline.Progress{Done: i, Total: 100, Values: map[string]float64{"loss": float64(i)}})
		}
		job.Report(pipeline.Progress{Done: 100, Total: 100})
		return nil
	}))
	cfg.Clock = func() time.Time { return time.Unix(1_700_000_000, 0) } // stands still
	pipelinetest.Work(t, cfg)
	b.send(due("x"))
	b.settled(1)
	if n := len(b.reports); n != 121 {
		t.Errorf("the observer heard %d reports, want all 121", n)
	}
	const want = 1 + 20 + 1 // the first, those with values, the last
	for i := range want {
		m, err := sub.NextMsg(time.Minute)
		if err != nil {
			t.Fatalf("measurement %d: %v", i, err)
		}
		var metric pipeline.Metric
		if err := json.Unmarshal(m.Data, &metric); err != nil {
			t.Fatal(err)
		}
		if metric.Run != "run-test" || metric.Stage != "train" || m.Subject != "glmflow.metric.run-test.train" || metric.Attempt != 1 {
			t.Errorf("measurement %+v on %s", metric, m.Subject)
		}
	}
	if err := b.broker.Conn().FlushTimeout(time.Minute); err != nil {
		t.Fatal(err)
	}
	if m, err := sub.NextMsg(time.Nanosecond); err == nil || !errors.Is(err, nats.ErrTimeout) {
		t.Errorf("one measurement too many: %v, %v", m, err)
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

func TestLogNamesTheJob(t *testing.T) {
	b := newBench(t)
	var log lockedBuffer
	cfg := b.config(onDue(pipeline.Spec{Attempts: 1}, func(ctx context.Context, job *pipeline.Job) error {
		job.Log().Info("at work")
		panic("boom")
	}))
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	stop := pipelinetest.Work(t, cfg)
	b.send(due("x"))
	b.settled(1)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"run=run-test", "stage=toy", "attempt=1", `msg="at work"`, "panic: boom", "stack="} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, log.String())
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
