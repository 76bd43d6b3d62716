package broker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/schemas"
)

func TestDecode(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	order := []byte(`{"model":"assistant@candidate"}`)
	want := schemas.Event{
		SpecVersion: "1.0", ID: "42", Source: "https://crm.example/日", Type: schemas.EvalRequest,
		Time: at, DataContentType: "application/json", Run: "r1", Actor: "ann", Data: order,
	}
	cases := []struct {
		name   string
		header nats.Header
		body   string
		want   schemas.Event
	}{
		{
			name: "structured",
			body: `{"specversion":"1.0","id":"42","source":"https://crm.example/日","type":"eval.request","time":"2026-03-04T05:06:07Z","datacontenttype":"application/json","run":"r1","actor":"ann","data":{"model":"assistant@candidate"}}`,
			want: want,
		},
		{
			name: "structured with base64 data",
			body: `{"specversion":"1.0","id":"42","source":"https://crm.example/日","type":"eval.request","time":"2026-03-04T05:06:07Z","datacontenttype":"application/json","run":"r1","actor":"ann","data_base64":"eyJtb2RlbCI6ImFzc2lzdGFudEBjYW5kaWRhdGUifQ=="}`,
			want: want,
		},
		{
			name: "binary",
			header: nats.Header{
				"ce-specversion": {"1.0"}, "Ce-Id": {"42"}, "ce-source": {"https://crm.example/%E6%97%A5"}, "ce-type": {"eval.request"},
				"ce-time": {"2026-03-04T05:06:07Z"}, "Content-Type": {"application/json"}, "ce-run": {"r1"}, "CE-Actor": {"ann"},
			},
			body: string(order),
			want: want,
		},
		{
			name: "bare",
			body: string(order),
			want: schemas.Event{
				SpecVersion: "1.0", ID: "7", Source: "/nats", Type: schemas.EvalRequest, Time: at, Data: order,
				Run: broker.Key(schemas.Event{ID: "7", Source: "/nats"}),
			},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := broker.Decode("glmflow.event.eval.request", c.header, []byte(c.body), 7, at)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	cases := []struct{ name, header, body, want string }{
		{"not JSON", "", "hello", "neither a CloudEvent nor a JSON object"},
		{"a list", "", "[1]", "neither a CloudEvent nor a JSON object"},
		{"another type", "", `{"specversion":"1.0","id":"1","source":"s","type":"train.due"}`, `type is "train.due"`},
		{"a wrong field", "", `{"specversion":"1.0","id":7}`, "structured CloudEvent"},
		{"a wrong version", "", `{"specversion":"0.3","id":"1","source":"s","type":"eval.request"}`, "specversion"},
		{"broken base64", "", `{"specversion":"1.0","id":"1","source":"s","type":"eval.request","data_base64":"aGVsbG8="}`, "holds no JSON"},
		{"binary with text", "eval.request", "hello", "is not JSON"},
		{"nothing", "", "", "neither a CloudEvent nor a JSON object"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			header := nats.Header{}
			if c.header != "" {
				header.Set("ce-type", c.header)
			}
			ev, err := broker.Decode("glmflow.event.eval.request", header, []byte(c.body), 7, time.Unix(0, 0))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one about %s", err, c.want)
			}
			if verr := ev.Validate(); verr != nil || ev.Run == "" {
				t.Errorf("the event for the dead letter: %v", verr)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("eval.request", `{"specversion":"1.0","id":"1","source":"s","type":"eval.request","data":{"model":"m"}}`)
	f.Add("", `{"model":"m"}`)
	f.Fuzz(func(t *testing.T, ceType, body string) {
		header := nats.Header{}
		if ceType != "" {
			header.Set("ce-type", ceType)
		}
		ev, err := broker.Decode("glmflow.event.eval.request", header, []byte(body), 1, time.Unix(0, 0))
		if verr := ev.Validate(); verr != nil {
			t.Errorf("decoded to an event that is none (%v): %v", err, verr)
		}
		if _, err := broker.DeadMessage(broker.Dead{Stage: "s", Event: ev}); err != nil {
			t.Errorf("cannot become a dead letter: %v", err)
		}
	})
}

func TestSubjects(t *testing.T) {
	hostile := broker.Token("a.b >")
	for _, c := range []struct{ got, want string }{
		{broker.DataSubject(schemas.Tokens), "glmflow.data.tokens"},
		{broker.EventSubject(schemas.EvalRequest), "glmflow.event.eval.request"},
		{broker.SubjectOf(schemas.Event{Type: schemas.Adapter}), "glmflow.data.adapter"},
		{broker.SubjectOf(schemas.Event{Type: schemas.ModelAlias, Subject: "assistant"}), "glmflow.model.assistant"},
		{broker.KindSubject(schemas.ModelAlias), "glmflow.model.*"},
		{broker.DoneSubject("clean", "0123"), "glmflow.done.clean.0123"},
		{broker.DeadSubject("clean", "a.b >"), "glmflow.dead.clean." + hostile},
		{broker.MetricSubject("r1", "train"), "glmflow.metric.r1.train"},
		{broker.ScheduleSubject("nightly"), "glmflow.schedule.nightly"},
		{broker.FireSubject("nightly"), "glmflow.fire.nightly"},
		{broker.CancelSubject("r1"), "glmflow.cancel.r1"},
	} {
		if c.got != c.want {
			t.Errorf("subject %s, want %s", c.got, c.want)
		}
	}
	if len(hostile) != 32 || strings.ContainsAny(hostile, ".*> ") {
		t.Errorf("a hostile name became %q", hostile)
	}
}

func TestKeysOfOtherSystemsDoNotCollide(t *testing.T) {
	a, b := schemas.Event{ID: "1", Source: "/crm"}, schemas.Event{ID: "1", Source: "/shop"}
	if broker.Key(a) == broker.Key(b) {
		t.Error("two senders that count from 1 share a key")
	}
	if ours := (schemas.Event{ID: "abc", Source: "/glmflow/clean"}); broker.Key(ours) != "abc" {
		t.Errorf("our own id abc has the key %s", broker.Key(ours))
	}
}
