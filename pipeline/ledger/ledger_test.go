package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// flow is the shape of the real one, as far as the ledger looks at it.
func flow() []pipeline.Spec {
	spec := func(name string, in ...schemas.Kind) pipeline.Spec { return pipeline.Spec{Name: name, In: in} }
	return []pipeline.Spec{
		spec("ingest", schemas.IngestRequest), spec("clean", schemas.DialogueRaw), spec("tokenize", schemas.DialogueClean),
		spec("window", schemas.TrainRequest), spec("train", schemas.TrainDue),
		spec("evaluate", schemas.Adapter, schemas.EvalRequest), spec("publish", schemas.Score),
	}
}

var start = time.Date(2026, 5, 1, 3, 0, 0, 0, time.UTC)

// A script writes messages into a view, or into a broker, as stages would.
type script struct {
	t    *testing.T
	seq  uint64
	send func(subject string, body []byte)
}

func viewScript(t *testing.T) (*script, *view) {
	v := newView(flow())
	s := &script{t: t}
	s.send = func(subject string, body []byte) {
		s.seq++
		if err := v.apply(subject, nil, body, s.seq, start); err != nil {
			t.Fatalf("%s: %v", subject, err)
		}
	}
	return s, v
}

func event(t *testing.T, kind schemas.Kind, run, id string, data any) schemas.Event {
	t.Helper()
	if rows, ok := data.(int); ok {
		data = schemas.Dataset{Kind: kind, Version: 1, Digest: "sha256:" + id, Rows: int64(rows), Meta: map[string]string{"vocab": "v1"}, Inline: []byte("x")}
	}
	ev, err := schemas.NewEvent(kind, id, "/glmflow/test", start, data)
	if err != nil {
		t.Fatal(err)
	}
	ev.Run, ev.Actor = run, "ann"
	return ev
}

func (s *script) marshal(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		s.t.Fatal(err)
	}
	return body
}

func (s *script) event(kind schemas.Kind, run, id string, data any) {
	ev := event(s.t, kind, run, id, data)
	if kind == schemas.ModelAlias {
		ev.Subject = "assistant"
	}
	s.send(broker.SubjectOf(ev), s.marshal(ev))
}

func (s *script) done(stage, run, id string, outputs ...broker.Output) {
	s.send(broker.DoneSubject(stage, id), s.marshal(broker.Done{
		Stage: stage, Event: id, Run: run, Outputs: outputs, Started: start.Add(time.Minute), Finished: start.Add(time.Duration(s.seq) * time.Hour),
	}))
}

func (s *script) dead(stage, run, id string, kind schemas.Kind) {
	s.send(broker.DeadSubject(stage, id), s.marshal(broker.Dead{Stage: stage, Event: event(s.t, kind, run, id, 7), Reason: "no good", Attempt: 5, Time: start.Add(time.Hour)}))
}

// retrain scripts a retraining from request to verdict; version 0 parks the
// training.
func (s *script) retrain(run, window string, datasets []string, version int64, passed bool) {
	s.event(schemas.TrainRequest, run, "order-"+run, schemas.TrainOrder{Reason: "schedule nightly"})
	s.event(schemas.TrainDue, run, "due-"+run, schemas.TrainJob{Model: "assistant", Window: window, Datasets: datasets})
	s.done("window", run, "order-"+run, broker.Output{ID: "due-" + run, Kind: schemas.TrainDue})
	if version == 0 {
		s.dead("train", run, "due-"+run, schemas.TrainDue)
		return
	}
	s.event(schemas.Adapter, run, "adapter-"+run, 1)
	s.done("train", run, "due-"+run, broker.Output{ID: "adapter-" + run, Kind: schemas.Adapter, Rows: 1})
	s.event(schemas.Score, run, "score-"+run, 1)
	s.done("evaluate", run, "adapter-"+run, broker.Output{ID: "score-" + run, Kind: schemas.Score, Rows: 1})
	c := schemas.AliasChange{Action: "publish", Version: version, Aliases: map[string]int64{},
		Release: &schemas.ReleaseRow{Name: "assistant", Version: version, Window: window, Passed: passed, Files: "sha256:files-" + run, Adapter: "sha256:adapter-" + run}}
	if passed {
		c.Aliases = map[string]int64{"candidate": version, "production": version}
		if version > 1 {
			c.Aliases["previous"] = version - 1
		}
	}
	s.event(schemas.ModelAlias, run, "alias-"+run, c)
	s.event(schemas.Release, run, "release-"+run, 1)
	s.done("publish", run, "score-"+run, broker.Output{ID: "release-" + run, Kind: schemas.Release, Rows: 1}, broker.Output{ID: "alias-" + run, Kind: schemas.ModelAlias})
}

func TestRunThroughTheFlow(t *testing.T) {
	s, v := viewScript(t)
	state := func() string {
		r := v.runs["r1"]
		return fmt.Sprintf("%s %d", r.State, r.Waiting)
	}
	var got []string
	step := func() { got = append(got, state()) }
	s.event(schemas.IngestRequest, "r1", "i1", schemas.IngestOrder{})
	step()
	s.event(schemas.DialogueRaw, "r1", "d1", 10)
	s.event(schemas.DialogueRaw, "r1", "d2", 5)
	step()
	s.done("ingest", "r1", "i1", broker.Output{ID: "d1", Kind: schemas.DialogueRaw, Rows: 10}, broker.Output{ID: "d2", Kind: schemas.DialogueRaw, Rows: 5})
	step()
	// A batch whose record stands before its outputs must not look settled.
	s.done("clean", "r1", "d1", broker.Output{ID: "c1", Kind: schemas.DialogueClean, Rows: 8}, broker.Output{ID: "j1", Kind: schemas.DialogueReject, Rows: 2})
	s.dead("clean", "r1", "d2", schemas.DialogueRaw)
	step()
	s.event(schemas.DialogueClean, "r1", "c1", 8)
	s.event(schemas.DialogueReject, "r1", "j1", 2)
	step()
	s.event(schemas.Tokens, "r1", "t1", 8)
	s.done("tokenize", "r1", "c1", broker.Output{ID: "t1", Kind: schemas.Tokens, Rows: 8})
	step()
	s.event(schemas.DialogueRaw, "r1", "d1", 10) // published again, long after: no second job
	step()
	want := []string{"running 1", "running 3", "running 2", "running 2", "running 1", "parked 0", "parked 0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	// So must one whose last message is an entry of a model's history.
	s.event(schemas.Score, "r5", "s5", 1)
	s.done("publish", "r5", "s5", broker.Output{ID: "a5", Kind: schemas.ModelAlias})
	if r := v.runs["r5"]; r.Settled() || !r.Finished.IsZero() {
		t.Error("a run looks settled before its release is in it")
	}
	s.event(schemas.ModelAlias, "r5", "a5", schemas.AliasChange{Release: &schemas.ReleaseRow{Version: 1}})
	if r := v.runs["r5"]; !r.Settled() || len(r.Releases) != 1 || r.Finished.IsZero() {
		t.Errorf("run %+v", r.Run)
	}
	r := v.runs["r1"].Run
	var stages []string
	for _, st := range r.Stages {
		stages = append(stages, fmt.Sprintf("%s w%d d%d p%d in%d out%d rej%d", st.Name, st.Waiting, st.Done, st.Parked, st.RowsIn, st.RowsOut, st.Rejected))
	}
	if diff := cmp.Diff([]string{
		"ingest w0 d1 p0 in0 out15 rej0", "clean w0 d1 p1 in10 out8 rej2", "tokenize w0 d1 p0 in8 out8 rej0",
	}, stages); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	if len(r.Parked) != 1 || r.Parked[0].Reason != "no good" || r.Parked[0].Event.Data != nil {
		t.Errorf("parked %+v", r.Parked)
	}
	if r.Kind != schemas.IngestRequest || r.Actor != "ann" || r.Finished.IsZero() || !r.Started.Equal(start) {
		t.Errorf("run %+v", r)
	}
}

// TestFreshFollowsWindows tells the story of a model's data: trained on,
// rejected and given back, parked and given back, never given twice.
func TestFreshFollowsWindows(t *testing.T) {
	s, v := viewScript(t)
	fresh := func(runs ...string) string {
		f := v.fresh("assistant", runs)
		var parts []string
		for _, src := range f.Sources {
			mark := ""
			if src.Returned {
				mark = "*"
			}
			parts = append(parts, src.Event+mark)
		}
		return strings.Join(parts, " ") + " | " + strings.Join(f.Windows, " ")
	}
	expect := func(when, want string, runs ...string) {
		t.Helper()
		if got := fresh(runs...); got != want {
			t.Errorf("%s: fresh is %q, want %q", when, got, want)
		}
	}
	expect("at first", " | ")
	s.event(schemas.Tokens, "in1", "t1", 10)
	s.event(schemas.Tokens, "in2", "t2", 10)
	expect("after ingest", "t1 t2 | ")
	expect("of one run", "t2 | ", "in2")
	s.retrain("r1", "w1", []string{"t1"}, 1, true)
	expect("after a release", "t2 | w1")
	s.event(schemas.TrainRequest, "r2", "order-r2", schemas.TrainOrder{})
	s.event(schemas.TrainDue, "r2", "due-r2", schemas.TrainJob{Model: "assistant", Window: "w2", Datasets: []string{"t2"}})
	s.done("window", "r2", "order-r2", broker.Output{ID: "due-r2", Kind: schemas.TrainDue})
	expect("while training", " | w1 w2")
	if f := v.fresh("assistant", nil); !slices.Equal(f.Busy, []string{"r2"}) {
		t.Errorf("while training, busy are %v", f.Busy)
	}
	s.dead("train", "r2", "due-r2", schemas.TrainDue)
	expect("after the training was parked", "t2* | w1")
	s.event(schemas.Tokens, "in3", "t3", 4)
	s.retrain("r3", "w3", []string{"t2", "t3"}, 2, false)
	expect("after the gate rejected", "t2* t3* | w1")
	s.retrain("r4", "w4", []string{"t2", "t3"}, 3, true)
	expect("in the end", " | w1 w4")
	if got := v.fresh("another", nil); len(got.Sources) != 3 || len(got.Windows) != 0 {
		t.Errorf("another model finds %+v, want all three datasets", got)
	}
	if f := v.fresh("assistant", nil); f.Last != v.lastDue || f.Last == 0 || len(f.Busy) > 0 {
		t.Errorf("last train.due is %d, busy are %v", f.Last, f.Busy)
	}
}

func TestModelHistory(t *testing.T) {
	s, v := viewScript(t)
	s.retrain("r1", "w1", nil, 1, true)
	s.retrain("r2", "w2", nil, 2, false)
	s.retrain("r3", "w3", nil, 3, true)
	m := v.models["assistant"]
	if diff := cmp.Diff(map[string]int64{"candidate": 3, "production": 3, "previous": 2}, m.Aliases); diff != "" {
		t.Errorf("aliases (-want +got):\n%s", diff)
	}
	if len(m.Versions) != 3 || m.Next() != 4 || len(m.History) != 3 || len(v.runs["r2"].Releases) != 1 {
		t.Errorf("model %+v", m)
	}
	s.event(schemas.ModelAlias, "x", "a4", schemas.AliasChange{Aliases: map[string]int64{"candidate": 0}})
	if _, there := m.Aliases["candidate"]; there {
		t.Error("an alias set to 0 stays")
	}
	for ref, want := range map[string]int64{
		"assistant@production": 3, "assistant:2": 2, "sha256:files-r1": 1, "sha256:adapter-r3": 3,
	} {
		if r, err := v.resolve(ref); err != nil || r.Version != want {
			t.Errorf("%s is version %d, %v; want %d", ref, r.Version, err, want)
		}
	}
	for ref, says := range map[string]string{
		"assistant@canary": `no alias "canary"; there are previous, production`, "assistant:9": "no version 9", "helper:1": `no model is called "helper"; there is assistant`,
		"sha256:0": "no version has this digest", "assistant": "write name@alias", "assistant:x": "write name@alias",
	} {
		if _, err := v.resolve(ref); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want an error that says %q", ref, err, says)
		}
	}
}

func TestCancelledRun(t *testing.T) {
	s, v := viewScript(t)
	s.event(schemas.TrainRequest, "r1", "o1", schemas.TrainOrder{Reason: "manual"})
	s.send(broker.CancelSubject("r1"), s.marshal(broker.Cancel{Run: "r1", Actor: "bob", Reason: "wrong data", Time: start}))
	if r := v.runs["r1"]; r.State != Cancelled || r.Settled() {
		t.Errorf("run %+v; its job still waits", r.Run)
	}
	s.dead("window", "r1", "o1", schemas.TrainRequest)
	if r := v.runs["r1"]; r.State != Cancelled || !r.Settled() || r.Reason != "manual" {
		t.Errorf("run %+v", r.Run)
	}
}

func TestForgetsOldRuns(t *testing.T) {
	v := newView(flow())
	body := func(i int) []byte {
		return fmt.Appendf(nil, `{"specversion":"1.0","id":"%d","source":"/glmflow/t","type":"ingest.request","run":"r%d","time":"2026-01-01T00:00:00Z","data":{}}`, i, i)
	}
	subject := broker.EventSubject(schemas.IngestRequest)
	for i := range maxRuns + 50 {
		if err := v.apply(subject, nil, body(i), uint64(2*i+1), start); err != nil {
			t.Fatal(err)
		}
		if i == 7 {
			continue // never done: it must not be forgotten
		}
		done := fmt.Appendf(nil, `{"stage":"ingest","run":"r%d"}`, i)
		if err := v.apply(broker.DoneSubject("ingest", fmt.Sprint(i)), nil, done, uint64(2*i+2), start); err != nil {
			t.Fatal(err)
		}
	}
	if len(v.runs) != maxRuns || len(v.order) != maxRuns || v.runs["r7"] == nil || v.runs["r8"] != nil {
		t.Errorf("%d runs are kept, r7 %v, r8 %v", len(v.runs), v.runs["r7"] != nil, v.runs["r8"] != nil)
	}
}

// testBroker starts an embedded broker.
func testBroker(t *testing.T) *broker.Broker {
	t.Helper()
	b, err := broker.Start(t.Context(), broker.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func open(t *testing.T, b *broker.Broker) *Ledger {
	t.Helper()
	l, err := Open(t.Context(), b, flow(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func brokerScript(t *testing.T, b *broker.Broker) *script {
	return &script{t: t, send: func(subject string, body []byte) {
		if _, err := b.Commit(t.Context(), []broker.Message{{Subject: subject, Body: body}}); err != nil {
			t.Fatal(err)
		}
	}}
}

// TestLiveEqualsReplayed has one ledger read along and another read it all
// afterwards.
func TestLiveEqualsReplayed(t *testing.T) {
	b := testBroker(t)
	live := open(t, b)
	s := brokerScript(t, b)
	s.event(schemas.Tokens, "in1", "t1", 10)
	s.retrain("r1", "w1", []string{"t1"}, 1, true)
	s.retrain("r2", "w2", nil, 0, false)
	r, err := live.Wait(t.Context(), "r2", Run.Settled)
	if err != nil || r.State != Parked {
		t.Fatalf("run %+v, %v", r, err)
	}
	replayed := open(t, b)
	if err := live.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(live.Runs(), replayed.Runs()); diff != "" {
		t.Errorf("runs (-live +replayed):\n%s", diff)
	}
	if diff := cmp.Diff(live.Models(), replayed.Models()); diff != "" {
		t.Errorf("models (-live +replayed):\n%s", diff)
	}
	var kinds []schemas.Kind
	for ev, err := range replayed.Events(t.Context(), "r1") {
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, ev.Type)
	}
	if diff := cmp.Diff([]schemas.Kind{schemas.TrainRequest, schemas.TrainDue, schemas.Adapter, schemas.Score, schemas.ModelAlias, schemas.Release}, kinds); diff != "" {
		t.Errorf("events of r1 (-want +got):\n%s", diff)
	}
}

func TestWaitGivesUp(t *testing.T) {
	l := open(t, testBroker(t))
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the person went home")
	cancel(why)
	if _, err := l.Wait(ctx, "never", Run.Settled); !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
}

func TestPromoteAndRollback(t *testing.T) {
	b := testBroker(t)
	l := open(t, b)
	s := brokerScript(t, b)
	s.retrain("r1", "w1", nil, 1, true)
	s.retrain("r2", "w2", nil, 2, true)
	s.retrain("r3", "w3", nil, 3, false)
	ctx := t.Context()
	if _, err := l.Rollback(ctx, "assistant", "ann", "worse answers", start); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int64{"candidate": 2, "production": 1, "previous": 2}, l.Model("assistant").Aliases); diff != "" {
		t.Errorf("after rollback (-want +got):\n%s", diff)
	}
	if _, err := l.Promote(ctx, "assistant", 2, "bob", "fixed", start); err != nil {
		t.Fatal(err)
	}
	m := l.Model("assistant")
	if diff := cmp.Diff(map[string]int64{"candidate": 2, "production": 2, "previous": 1}, m.Aliases); diff != "" {
		t.Errorf("after promote (-want +got):\n%s", diff)
	}
	if e := m.History[len(m.History)-1]; e.Actor != "bob" || e.Reason != "fixed" || e.Action != "promote" {
		t.Errorf("history ends with %+v", e)
	}
	refusals := map[string]func() error{
		"refused version 3": func() error { _, err := l.Promote(ctx, "assistant", 3, "bob", "why not", start); return err },
		"no version 4":      func() error { _, err := l.Promote(ctx, "assistant", 4, "bob", "why not", start); return err },
		"already":           func() error { _, err := l.Promote(ctx, "assistant", 2, "bob", "again", start); return err },
		"who changes it":    func() error { _, err := l.Promote(ctx, "assistant", 1, "", "", start); return err },
		"nothing was published": func() error {
			_, err := l.Rollback(ctx, "helper", "bob", "why not", start)
			return err
		},
	}
	for says, try := range refusals {
		if err := try(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want an error that says %q", err, says)
		}
	}
}

// TestChangesAreFenced lets many people promote at once: the history must be one
// that could have happened one after the other.
func TestChangesAreFenced(t *testing.T) {
	b := testBroker(t)
	l := open(t, b)
	s := brokerScript(t, b)
	s.retrain("r1", "w1", nil, 1, true)
	s.retrain("r2", "w2", nil, 2, true)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			_, err := l.Rollback(t.Context(), "assistant", fmt.Sprint("person ", i), "race", start)
			if err != nil && !errors.Is(err, broker.ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	m, err := l.Current(t.Context(), "assistant")
	if err != nil {
		t.Fatal(err)
	}
	production := int64(2)
	for _, e := range m.History[2:] {
		if e.Aliases["previous"] != production {
			t.Errorf("%s rolled back %d although production was %d", e.Actor, e.Aliases["previous"], production)
		}
		production = e.Aliases["production"]
	}
	if len(m.History) < 3 {
		t.Error("nobody succeeded")
	}
}

func TestOpenNeedsStages(t *testing.T) {
	if _, err := Open(t.Context(), nil, nil, nil); err == nil {
		t.Error("a ledger without stages")
	}
}

func FuzzApply(f *testing.F) {
	f.Add("glmflow.event.train.due", []byte(`{"specversion":"1.0","id":"1","source":"/x","type":"train.due","run":"r","data":{"model":"m","window":"w"}}`))
	f.Add("glmflow.done.train.x", []byte(`{"stage":"train","run":"r","outputs":[{"id":"1","kind":"adapter"}]}`))
	f.Add("glmflow.dead.train.x", []byte(`{"stage":"train"}`))
	f.Add("glmflow.model.m", []byte(`{"specversion":"1.0","id":"1","source":"/x","type":"model.alias","subject":"m","data":{"aliases":{"a":1}}}`))
	f.Fuzz(func(t *testing.T, subject string, body []byte) {
		v := newView(flow())
		_ = v.apply(subject, nil, body, 1, start) // an error is fine, a panic is not
		v.fresh("m", nil)
	})
}
