package pipeline_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/pipeline/pipelinetest"
	"github.com/glmflow/glmflow/schemas"
)

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
