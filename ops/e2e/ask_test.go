package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/pipeline/trigger"
	"github.com/glmflow/glmflow/schemas"
)

// TestNobodyAtTheKeyboard lets a schedule retrain, and then a stranger ask what
// the new model is worth.
func TestNobodyAtTheKeyboard(t *testing.T) {
	t.Parallel()
	c := settings(t, base(t))
	c.Train.Epochs = 4
	f := join(t, c, true)
	logs, _ := conversations(t, 6, 60)
	f.ingest(logs)

	schedules := trigger.NewSchedules(f.Broker)
	if err := schedules.Set(t.Context(), trigger.Schedule{Name: "often", Clock: trigger.Clock{Expr: "*/2 * * * * *"}, Actor: "ann"}); err != nil {
		t.Fatal(err)
	}
	trained := f.first("a scheduled run that published", func(r ledger.Run) bool { return r.Settled() && len(r.Releases) > 0 })
	if r := trained.Releases[0]; !r.Promoted || r.Version != 1 || trained.Kind != schemas.TrainRequest || !strings.Contains(trained.Reason, "often") {
		t.Errorf("run %+v published %+v", trained, r)
	}
	// It goes on firing; with nothing new, nothing is trained.
	idle := f.first("a later firing", func(r ledger.Run) bool {
		return r.Settled() && r.Kind == schemas.TrainRequest && r.First > trained.Last
	})
	if len(idle.Windows)+len(idle.Outputs)+len(idle.Parked) > 0 || len(idle.Notes) != 1 {
		t.Errorf("a firing with nothing new made %+v", idle)
	}
	if err := schedules.Remove(t.Context(), "often"); err != nil {
		t.Fatal(err)
	}
	f.answersStrangers(filepath.Join(logs, "desk", "chatglm3.jsonl"))
}

// answersStrangers sends evaluation requests as somebody would who knows NATS
// and nothing of glmflow, in each form that a CloudEvent can have.
func (f *flow) answersStrangers(file string) {
	t := f.t
	t.Helper()
	url, err := broker.Find(filepath.Join(f.Config.Dir, "broker"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sources, _, err := f.Upload(t.Context(), []string{file})
	if err != nil {
		t.Fatal(err)
	}
	subject := broker.EventSubject(schemas.EvalRequest)
	if subject != "glmflow.event.eval.request" {
		t.Fatalf("strangers know another subject than %s", subject)
	}
	for name, test := range map[string]struct {
		data   string
		header nats.Header
		body   string // with a verb for the data
		id     string // of the event, "" if the sender gave none
	}{
		"structured": {"held-out", nats.Header{"Content-Type": {"application/cloudevents+json"}},
			`{"specversion":"1.0","id":"q-1","source":"urn:shop","type":"eval.request","data":%s}`, "q-1"},
		"binary": {sources[0].Digest, nats.Header{
			"ce-specversion": {"1.0"}, "ce-id": {"q-2"}, "ce-source": {"urn:shop"}, "ce-type": {"eval.request"}, "Content-Type": {"application/json"},
		}, "%s", "q-2"},
		"bare": {"held-out", nil, "%s", ""},
	} {
		answers, err := conn.SubscribeSync("answers." + name)
		if err != nil {
			t.Fatal(err)
		}
		order, err := json.Marshal(schemas.EvalOrder{Model: "assistant@production", Data: test.data, Reply: "answers." + name, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		before := f.newest()
		if err := conn.PublishMsg(&nats.Msg{Subject: subject, Header: test.header, Data: fmt.Appendf(nil, test.body, order)}); err != nil {
			t.Fatal(err)
		}
		msg, err := answers.NextMsg(patience)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var ev schemas.Event
		var row schemas.ScoreRow
		if err := json.Unmarshal(msg.Data, &ev); err != nil {
			t.Fatalf("%s: %v: %s", name, err, msg.Data)
		}
		if err := ev.Validate(); err != nil || ev.Type != schemas.Score {
			t.Errorf("%s: answered by %s %v: %s", name, ev.Type, err, ev.Data)
		}
		if err := ev.Decode(&row); err != nil {
			t.Fatal(err)
		}
		if row.Candidate != "assistant:1" || row.Baseline != "base" || row.Rows == 0 || len(row.Metrics) == 0 {
			t.Errorf("%s: score %+v", name, row)
		}
		run := f.first("the run of the request", func(r ledger.Run) bool {
			return r.Settled() && r.Kind == schemas.EvalRequest && r.First > before
		})
		kept, _ := output[schemas.ScoreRow](f, run, schemas.Score)
		if kept.Data != row.Data || kept.Rows != row.Rows {
			t.Errorf("%s: the kept score %+v is not the answer %+v", name, kept, row)
		}
	}
	// What cannot be answered is answered as well.
	answers, err := conn.SubscribeSync("answers.none")
	if err != nil {
		t.Fatal(err)
	}
	before := f.newest()
	if err := conn.Publish(subject, []byte(`{"model":"nobody@production","data":"held-out","reply":"answers.none"}`)); err != nil {
		t.Fatal(err)
	}
	if msg, err := answers.NextMsg(patience); err != nil || !strings.Contains(string(msg.Data), "nobody@production") {
		t.Errorf("a request for a model that is not: %v", err)
	}
	run := f.first("the refused run", func(r ledger.Run) bool { return r.Settled() && r.First > before })
	if len(run.Notes) != 1 || !strings.Contains(run.Notes[0].Text, "nobody@production") {
		t.Errorf("the refused run says %v", run.Notes)
	}
}

// newest is the stream sequence of the last message of any run.
func (f *flow) newest() uint64 {
	f.t.Helper()
	if err := f.Ledger.Sync(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	var last uint64
	for _, r := range f.Ledger.Runs() {
		last = max(last, r.Last)
	}
	return last
}

// first waits for a run of which ok holds, and returns the earliest.
func (f *flow) first(what string, ok func(ledger.Run) bool) ledger.Run {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	for {
		changed := f.Ledger.Changed()
		runs := f.Ledger.Runs()
		for i := len(runs) - 1; i >= 0; i-- {
			if ok(runs[i]) {
				return runs[i]
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			f.t.Fatalf("waited in vain for %s", what)
		}
	}
}
