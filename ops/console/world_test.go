package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/schemas"
)

// A world is a Source that a test fills.
type world struct {
	mu      sync.Mutex
	queues  []Queue
	runs    []ledger.Run
	all     []ledger.Model
	curve   []schemas.Point
	score   schemas.ScoreRow
	broken  error
	changed chan struct{}
}

func newWorld() *world { return &world{changed: make(chan struct{})} }

// change edits the world and tells those who watch.
func (w *world) change(edit func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	edit()
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *world) Queues(context.Context) ([]Queue, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.queues, w.broken
}

func (w *world) Runs() []ledger.Run {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.runs
}

func (w *world) Run(id string) (ledger.Run, bool) {
	for _, r := range w.Runs() {
		if r.ID == id {
			return r, true
		}
	}
	return ledger.Run{}, false
}

func (w *world) Models() []ledger.Model {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all
}

func (w *world) Model(name string) ledger.Model {
	for _, m := range w.Models() {
		if m.Name == name {
			return m
		}
	}
	return ledger.Model{Name: name}
}

func (w *world) Curve(context.Context, string) ([]schemas.Point, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.curve, w.broken
}

func (w *world) Score(_ context.Context, d schemas.Dataset) (schemas.ScoreRow, error) {
	if d.Kind != schemas.Score {
		return schemas.ScoreRow{}, errors.New("not a score")
	}
	return w.score, nil
}

func (w *world) Changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

// noon is when every test looks.
func noon() time.Time {
	return time.Date(2026, 5, 17, 12, 0, 0, 0, time.FixedZone("CST", 8*3600))
}

// full is a world in which everything has happened.
func full() *world {
	w := newWorld()
	for i, name := range []string{"ingest", "clean", "tokenize", "window", "train", "evaluate", "publish"} {
		w.queues = append(w.queues, Queue{Name: name, About: "what " + name + " does", In: []string{"in." + name}, Out: []string{"out." + name}, Done: int64(i * 411), Here: i < 4})
	}
	w.queues[1].Waiting, w.queues[2].Working, w.queues[2].Retried, w.queues[3].Parked = 12, 2, 1, 1
	window := "sha256:6f1c2a9be04411d7a2c0d3e4f5061728394a5b6c7d8e9f00112233445566778a"
	release := schemas.ReleaseRow{Name: "assistant", Version: 2, Files: "sha256:bb11", Window: window, Passed: true, Promoted: true}
	rejected := schemas.ReleaseRow{Name: "assistant", Version: 3, Files: "sha256:cc22", Window: window, Failed: []string{"loss: interval_below 0", "rouge-l: not_below 0.02"}}
	start := noon().Add(-47 * time.Minute)
	w.runs = []ledger.Run{
		{
			ID: "01KRWINDOWNIGHTLY", Kind: schemas.TrainRequest, State: ledger.Parked, Actor: "schedule:nightly", Reason: "every night", Started: start, Finished: start.Add(31*time.Minute + 4*time.Second),
			Stages: []ledger.StageState{
				{Name: "window", Done: 1, Started: start, Finished: start.Add(2 * time.Second)},
				{Name: "train", Done: 1, Parked: 1, RowsIn: 5230, RowsOut: 1, Rejected: 7, Started: start, Finished: start.Add(30 * time.Minute)},
				{Name: "evaluate", Waiting: 2},
			},
			Parked:   []broker.Dead{{Stage: "train", Reason: "loss is not finite at step 17: lower learning_rate", Attempt: 5, Time: start.Add(9 * time.Minute)}},
			Notes:    []ledger.Note{{Stage: "window", Text: "12 near-duplicates were dropped"}, {Text: "cancelled by li: wrong window"}},
			Outputs:  []ledger.Output{{Event: "e1", Dataset: schemas.Dataset{Kind: schemas.Adapter, Digest: "sha256:aa00", Rows: 1, Bytes: 90211}}, {Event: "e2", Dataset: schemas.Dataset{Kind: schemas.Score, Digest: "sha256:dd33", Rows: 1, Bytes: 1204}}},
			Windows:  []string{window},
			Releases: []schemas.ReleaseRow{release, rejected},
		},
		{ID: "01KRRUNNING", Kind: schemas.IngestRequest, State: ledger.Running, Actor: "li", Started: noon().Add(-90 * time.Second), Waiting: 3, Stages: []ledger.StageState{{Name: "ingest", Waiting: 3}}},
		{ID: "01KRFINISHED", Kind: schemas.EvalRequest, State: ledger.Finished, Actor: "li", Reason: "a look", Started: start.Add(-time.Hour), Finished: start},
		{ID: "01KRQUIET", Kind: schemas.TrainRequest, State: ledger.Finished, Actor: "schedule:nightly", Reason: "schedule:nightly", Started: start.Add(-time.Hour), Finished: start.Add(-time.Hour),
			Notes: []ledger.Note{{Stage: "window", Text: "no retraining of assistant: 3 conversations are new, 10 needed"}}},
		{ID: "01KRCANCELLED", Kind: schemas.TrainRequest, State: ledger.Cancelled, Actor: "wang", Reason: "mistake", Started: start.Add(-2 * time.Hour), Finished: start.Add(-time.Hour)},
	}
	for i := range 120 {
		p := schemas.Point{Step: int64(i + 1), Loss: 3.2/(1+float64(i)/20) + 0.15*float64(i%7)/7}
		if i%20 == 19 {
			v := p.Loss + 0.11
			p.ValLoss = &v
		}
		w.curve = append(w.curve, p)
	}
	w.score = schemas.ScoreRow{
		Candidate: "adapter sha256:aa00", Baseline: "assistant@production", Rows: 211, Targets: 9120,
		Metrics: []schemas.Metric{
			{Name: "loss", Slice: "all", N: 9120, Baseline: 2.1034, Candidate: 1.6120, Low: -0.5301, High: -0.4412},
			{Name: "rouge-l", Slice: "zh", N: 140, Baseline: 0.3121, Candidate: 0.3020, HigherIsBetter: true},
		},
		Samples: []schemas.Sample{{ID: "s1", Prompt: "我的包裹在哪里？", Reference: "明天送达。", Baseline: "您好。", Candidate: "您的包裹明天送达。"}},
		Rules:   []schemas.RuleResult{{Rule: "loss: interval_below 0", Passed: true, Detail: "-0.4412 < 0"}, {Rule: "rouge-l: not_below 0.02", Detail: "-0.0101"}},
	}
	w.all = []ledger.Model{{
		Name: "assistant", Aliases: map[string]int64{"production": 2, "previous": 1},
		Versions: []schemas.ReleaseRow{{Name: "assistant", Version: 1, Files: "sha256:aa11", Window: window, Passed: true}, release, rejected},
		History: []ledger.Entry{
			{Time: start.Add(-72 * time.Hour), Run: "01KRFINISHED", AliasChange: schemas.AliasChange{Action: "publish", Version: 1, Aliases: map[string]int64{"candidate": 1}, Actor: "schedule:nightly"}},
			{Time: start.Add(-71 * time.Hour), AliasChange: schemas.AliasChange{Action: "promote", Version: 1, Aliases: map[string]int64{"production": 1, "candidate": 0}, Actor: "li", Reason: "read fifty answers"}},
			{Time: start, Run: "01KRWINDOWNIGHTLY", AliasChange: schemas.AliasChange{Action: "publish", Version: 2, Aliases: map[string]int64{"production": 2, "previous": 1}, Actor: "schedule:nightly"}},
		},
	}}
	return w
}

// open serves a world's console.
func open(t *testing.T, w *world) http.Handler {
	t.Helper()
	h, err := New(Config{Source: w, Version: "1.2.3", Log: slog.New(slog.DiscardHandler), Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// get asks for a page in a language.
func get(t *testing.T, h http.Handler, path, language string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Accept-Language", fmt.Sprintf("%s-XX,en;q=0.5", language))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
