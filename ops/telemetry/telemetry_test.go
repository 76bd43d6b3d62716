package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/glmflow/glmflow/ops/term"
	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/schemas"
)

// read asks a handler for a path.
func read(t *testing.T, h http.Handler, path string) (status int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

// fixture returns metrics over two queues, and their handler.
func fixture(t *testing.T, queues func(context.Context) ([]Queue, error), log *slog.Logger) (*Metrics, http.Handler) {
	t.Helper()
	m, err := NewMetrics(Config{Version: "1.2.3", Queues: queues, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return m, Handler(m, func(context.Context) error { return nil })
}

func twoQueues(context.Context) ([]Queue, error) {
	return []Queue{{Stage: "clean", Waiting: 12, Working: 2, Retried: 1}, {Stage: "train", Parked: 3}}, nil
}

// want checks lines of a scrape, and dont that no line begins like that.
func want(t *testing.T, h http.Handler, lines ...string) {
	t.Helper()
	status, body := read(t, h, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	for _, line := range lines {
		if !strings.Contains("\n"+body, "\n"+line+"\n") {
			t.Errorf("the scrape lacks the line %q; near it:\n%s", line, near(body, line))
		}
	}
}

func dont(t *testing.T, h http.Handler, prefix string) {
	t.Helper()
	if _, body := read(t, h, "/metrics"); strings.Contains(body, "\n"+prefix) {
		t.Errorf("the scrape has %s", near(body, prefix))
	}
}

// near returns the lines of the same metric.
func near(body, line string) string {
	name := line[:min(len(line), strings.IndexAny(line+" ", "{ "))]
	var b strings.Builder
	for l := range strings.Lines(body) {
		if strings.HasPrefix(l, name) {
			b.WriteString(l)
		}
	}
	return b.String()
}

func TestMetrics(t *testing.T) {
	defer goleak.VerifyNone(t)
	m, h := fixture(t, twoQueues, slog.New(slog.DiscardHandler))
	o := m.Observer()
	want(t, h, `glmflow_queue_waiting{stage="clean"} 12`, `glmflow_queue_working{stage="clean"} 2`,
		`glmflow_queue_retried{stage="clean"} 1`, `glmflow_queue_parked{stage="train"} 3`)
	dont(t, h, "glmflow_train_loss")

	clean := pipeline.JobInfo{Stage: "clean", Event: schemas.Event{Run: "01RUN"}, Attempt: 1}
	for range 2 {
		o.JobStarted(clean)
	}
	o.JobFinished(clean, pipeline.Outcome{
		Result: pipeline.Done, Duration: 50 * time.Millisecond, RowsIn: 100,
		RowsOut: map[schemas.Kind]int64{schemas.DialogueClean: 90, schemas.DialogueReject: 10},
	})
	o.JobFinished(clean, pipeline.Outcome{Result: pipeline.Retried, Err: errors.New("x"), Duration: 3 * time.Second, RowsIn: 100})
	o.JobStarted(clean)
	want(t, h,
		`glmflow_jobs_started_total{stage="clean"} 3`,
		`glmflow_jobs_running{stage="clean"} 1`,
		`glmflow_jobs_finished_total{result="done",stage="clean"} 1`,
		`glmflow_jobs_finished_total{result="retried",stage="clean"} 1`,
		`glmflow_rows_in_total{stage="clean"} 100`,
		`glmflow_rows_out_total{kind="dialogue.clean",stage="clean"} 90`,
		`glmflow_rows_out_total{kind="dialogue.reject",stage="clean"} 10`,
		`glmflow_job_duration_seconds_bucket{stage="clean",le="0.04"} 0`,
		`glmflow_job_duration_seconds_bucket{stage="clean",le="0.16"} 1`,
		`glmflow_job_duration_seconds_count{stage="clean"} 2`,
		`glmflow_job_duration_seconds_sum{stage="clean"} 3.05`,
	)

	train := pipeline.JobInfo{Stage: "train", Event: schemas.Event{Run: "01RUN"}}
	o.JobStarted(train)
	o.JobProgress(train, pipeline.Progress{Done: 1, Total: 9, Values: map[string]float64{"loss": 2.5, "val_loss": 2.75, "lr": 0.001, "tokens_per_second": 1200, "of another version": 1}})
	o.JobProgress(train, pipeline.Progress{Done: 2, Total: 9, Values: map[string]float64{"loss": 2.25}})
	o.JobProgress(train, pipeline.Progress{Done: 2, Total: 9})
	o.JobProgress(pipeline.JobInfo{Stage: "evaluate"}, pipeline.Progress{Values: map[string]float64{"loss": 99}})
	want(t, h, `glmflow_train_loss 2.25`, `glmflow_train_val_loss 2.75`, `glmflow_train_learning_rate 0.001`, `glmflow_train_tokens_per_second 1200`)
	o.JobFinished(train, pipeline.Outcome{Result: pipeline.Done})
	dont(t, h, "glmflow_train_loss")
	dont(t, h, "glmflow_train_val_loss")

	_, body := read(t, h, "/metrics")
	for _, s := range []string{`glmflow_build_info{goversion="go`, `version="1.2.3"} 1`, "go_goroutines ", "process_cpu_seconds_total "} {
		if !strings.Contains(body, s) {
			t.Errorf("the scrape lacks %q", s)
		}
	}
	if strings.Contains(body, "01RUN") {
		t.Error("a run became a label: there are too many of them")
	}
}

// TestQueuesUnknown: a broker that is away takes nothing but the queues with it.
func TestQueuesUnknown(t *testing.T) {
	var log bytes.Buffer
	m, h := fixture(t, func(context.Context) ([]Queue, error) { return nil, errors.New("broker is away") }, slog.New(slog.NewTextHandler(&log, nil)))
	m.Observer().JobStarted(pipeline.JobInfo{Stage: "clean"})
	want(t, h, `glmflow_jobs_started_total{stage="clean"} 1`)
	dont(t, h, "glmflow_queue")
	if !strings.Contains(log.String(), "broker is away") {
		t.Errorf("the log does not say why: %q", log.String())
	}
}

// TestConcurrently is for the race detector.
func TestConcurrently(t *testing.T) {
	m, h := fixture(t, twoQueues, slog.New(slog.DiscardHandler))
	o := m.Observer()
	var wg sync.WaitGroup
	for _, stage := range []string{"clean", "train", "train"} {
		wg.Go(func() {
			j := pipeline.JobInfo{Stage: stage}
			for range 50 {
				o.JobStarted(j)
				o.JobProgress(j, pipeline.Progress{Values: map[string]float64{"loss": 1}})
				o.JobFinished(j, pipeline.Outcome{Result: pipeline.Done})
			}
		})
	}
	for range 5 {
		want(t, h)
	}
	wg.Wait()
	want(t, h, `glmflow_jobs_started_total{stage="train"} 100`, `glmflow_jobs_running{stage="train"} 0`)
}

func TestHealth(t *testing.T) {
	m, _ := fixture(t, twoQueues, slog.New(slog.DiscardHandler))
	var trouble error
	h := Handler(m, func(ctx context.Context) error {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("ready may take for ever")
		}
		return trouble
	})
	for _, tc := range []struct {
		path    string
		trouble error
		status  int
		body    string
	}{
		{"/healthz", nil, 200, "ok\n"},
		{"/readyz", nil, 200, "ready\n"},
		{"/readyz", errors.New("ledger: 12 messages behind"), 503, "not ready: ledger: 12 messages behind\n"},
		{"/healthz", errors.New("whatever"), 200, "ok\n"},
	} {
		trouble = tc.trouble
		if status, body := read(t, h, tc.path); status != tc.status || body != tc.body {
			t.Errorf("%s with trouble %v: %d %q, want %d %q", tc.path, tc.trouble, status, body, tc.status, tc.body)
		}
	}
}

func TestNewMetricsWantsAll(t *testing.T) {
	if _, err := NewMetrics(Config{Version: "1"}); err == nil {
		t.Error("metrics without queues and log are made")
	}
}

func TestLogger(t *testing.T) {
	for _, tc := range []struct {
		format           string
		terminal, colour bool
		json             bool
		has, hasNot      string
	}{
		{"auto", false, false, true, `"stage":"clean"`, "\x1b"},
		{"auto", true, true, false, "\x1b[", `"stage"`},
		{"auto", true, false, false, "stage=clean", "\x1b"},
		{"text", false, false, false, "level=WARN", "\x1b"},
		{"text", true, true, false, "\x1b[", "level="},
		{"json", true, true, true, `"stage":"clean"`, "\x1b"},
	} {
		var b bytes.Buffer
		log, err := NewLogger(&term.Screen{W: &b, Terminal: tc.terminal, Colour: tc.colour}, "warn", tc.format)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("too quiet to be heard")
		log.Warn("disk is filling", "stage", "clean")
		if out := b.String(); json.Valid(b.Bytes()) != tc.json || !strings.Contains(out, tc.has) || strings.Contains(out, tc.hasNot) || strings.Contains(out, "quiet") {
			t.Errorf("%+v: %q", tc, out)
		}
	}
	for _, bad := range [][2]string{{"loud", "auto"}, {"info", "xml"}, {"", "json"}} {
		if _, err := NewLogger(&term.Screen{W: &bytes.Buffer{}}, bad[0], bad[1]); err == nil {
			t.Errorf("level %q and format %q are taken", bad[0], bad[1])
		}
	}
}
