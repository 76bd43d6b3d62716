package broker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a broker over dir until the test ends or stop is called.
func start(t *testing.T, dir string) (b *broker.Broker, stop func()) {
	t.Helper()
	b, err := broker.Start(t.Context(), broker.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return b, stop
}

func event(t *testing.T, kind schemas.Kind, id string) schemas.Event {
	t.Helper()
	ev, err := schemas.NewEvent(kind, id, "/glmflow/test", time.Unix(1, 0), map[string]string{"reason": "test"})
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

func TestPublish(t *testing.T) {
	b, _ := start(t, t.TempDir())
	ctx := t.Context()
	ev := event(t, schemas.TrainRequest, "one")
	first, err := b.Publish(ctx, ev)
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.Publish(ctx, ev)
	if err != nil || again != first {
		t.Errorf("the same event again: sequence %d, %v; want %d", again, err, first)
	}
	body, seq, ok, err := b.Last(ctx, broker.EventSubject(schemas.TrainRequest))
	if err != nil || !ok || seq != first {
		t.Fatalf("last: sequence %d, %v, %v", seq, ok, err)
	}
	var got schemas.Event
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ev, got); diff != "" {
		t.Error(diff)
	}
	if _, _, ok, err := b.Last(ctx, broker.ModelSubject("nobody")); ok || err != nil {
		t.Errorf("last of an empty subject: %v, %v", ok, err)
	}
}

func TestPublishCompareAndSet(t *testing.T) {
	b, _ := start(t, t.TempDir())
	ctx := t.Context()
	alias := func(id string) schemas.Event {
		ev := event(t, schemas.ModelAlias, id)
		ev.Subject = "assistant"
		return ev
	}
	first, err := b.Publish(ctx, alias("a"), broker.ExpectLast(0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Publish(ctx, alias("b"), broker.ExpectLast(0)); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("a second first entry: %v, want a conflict", err)
	}
	if _, err := b.Publish(ctx, alias("c"), broker.ExpectLast(first)); err != nil {
		t.Error(err)
	}
}

func TestPublishRefuses(t *testing.T) {
	b, _ := start(t, t.TempDir())
	big := event(t, schemas.TrainRequest, "big")
	big.Data = json.RawMessage(`"` + strings.Repeat("x", 2<<20) + `"`)
	for name, ev := range map[string]schemas.Event{"without id": event(t, schemas.TrainRequest, ""), "too long": big} {
		if _, err := b.Publish(t.Context(), ev); err == nil {
			t.Errorf("an event %s was published", name)
		}
	}
	if _, err := b.Publish(t.Context(), event(t, schemas.TrainRequest, "after")); err != nil {
		t.Errorf("the connection did not survive: %v", err)
	}
}

// job returns the messages of a job's hand-over with n outputs.
func job(t *testing.T, key string, n int) []broker.Message {
	t.Helper()
	done, err := broker.DoneMessage(broker.Done{Stage: "clean", Event: key}, key)
	if err != nil {
		t.Fatal(err)
	}
	messages := []broker.Message{done}
	for i := range n {
		m, err := broker.EventMessage(event(t, schemas.DialogueClean, fmt.Sprintf("%s-%d", key, i)))
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, m)
	}
	return messages
}

func TestCommitIsAtomicAndFenced(t *testing.T) {
	b, _ := start(t, t.TempDir())
	ctx := t.Context()
	seq, err := b.Commit(ctx, job(t, "j1", 2))
	if err != nil {
		t.Fatal(err)
	}
	stale := job(t, "j1", 2)
	stale[1].ID, stale[2].ID = "other-1", "other-2" // another worker's, past deduplication
	if _, err := b.Commit(ctx, stale); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("a second hand-over: %v, want a conflict", err)
	}
	if _, last, _, err := b.Last(ctx, broker.DataSubject(schemas.DialogueClean)); err != nil || last != seq {
		t.Errorf("the second hand-over left message %d, want %d to be the last (%v)", last, seq, err)
	}
}

func TestAJobHasOneOutcome(t *testing.T) {
	b, _ := start(t, t.TempDir())
	ctx := t.Context()
	dead := func(id string) []broker.Message {
		m, err := broker.DeadMessage(broker.Dead{Stage: "clean", Event: event(t, schemas.DialogueRaw, id), Reason: "bad"})
		if err != nil {
			t.Fatal(err)
		}
		return []broker.Message{m}
	}
	if _, err := b.Commit(ctx, dead("j1")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Commit(ctx, job(t, "j1", 1)); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("a dead job is done: %v, want a conflict", err)
	}
	if _, err := b.Commit(ctx, job(t, "j2", 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Commit(ctx, dead("j2")); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("a done job is dead: %v, want a conflict", err)
	}
}

func TestCommitLimits(t *testing.T) {
	b, _ := start(t, t.TempDir())
	ctx := t.Context()
	if _, err := b.Commit(ctx, nil); err == nil {
		t.Error("an empty batch was committed")
	}
	if _, err := b.Commit(ctx, job(t, "too-many", broker.MaxBatch)); err == nil {
		t.Errorf("%d messages were committed", broker.MaxBatch+1)
	}
	seq, err := b.Commit(ctx, job(t, "many", broker.MaxBatch-1))
	if err != nil || seq != broker.MaxBatch {
		t.Errorf("%d messages: sequence %d, %v", broker.MaxBatch, seq, err)
	}
	repeated := job(t, "repeats", 1)
	repeated[1].ID = broker.MessageID(event(t, schemas.DialogueClean, "many-7"))
	if _, err := b.Commit(ctx, repeated); !errors.Is(err, broker.ErrDuplicate) {
		t.Errorf("a batch with a recent event: %v, want a duplicate", err)
	}
	if _, _, ok, err := b.Last(ctx, broker.DoneSubject("clean", "repeats")); ok || err != nil {
		t.Errorf("the refused batch left its done record (%v)", err)
	}
}

func TestOneProcessOneDirectory(t *testing.T) {
	dir := t.TempDir()
	if _, err := broker.Find(dir); !errors.Is(err, broker.ErrNotRunning) {
		t.Errorf("find before start: %v", err)
	}
	_, stop := start(t, dir)
	_, err := broker.Start(t.Context(), broker.Config{Dir: dir})
	if !errors.Is(err, broker.ErrInUse) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("a second broker in the directory: %v; want an error that names the first", err)
	}
	stop()
	if _, err := broker.Find(dir); !errors.Is(err, broker.ErrNotRunning) {
		t.Errorf("find after stop: %v", err)
	}
	start(t, dir)
}

func TestOtherProcessesReachIt(t *testing.T) {
	dir := t.TempDir()
	b, stop := start(t, dir)
	if _, err := b.Publish(t.Context(), event(t, schemas.TrainRequest, "kept")); err != nil {
		t.Fatal(err)
	}
	found, err := broker.Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "broker.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("credentials: %v, %v; want mode 0600", info.Mode(), err)
	}
	other, err := broker.Connect(t.Context(), found, broker.Options{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok, err := other.Last(t.Context(), broker.EventSubject(schemas.TrainRequest)); !ok || err != nil {
		t.Errorf("the other connection sees nothing: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}

	u, err := url.Parse(found)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("glmflow", "guess")
	if _, err := broker.Connect(t.Context(), u.String(), broker.Options{}); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("a wrong password: %v", err)
	} else if strings.Contains(err.Error(), "guess") {
		t.Errorf("the error tells the password: %v", err)
	}

	stop()
	start(t, dir)
	if again, err := broker.Find(dir); err != nil || again != found {
		t.Errorf("after a restart the broker is at %s, was at %s (%v): running workers would not find it", again, found, err)
	}
}

// TestRestartRedelivers: what a dead process had taken is delivered again at
// once, not after the acknowledgement wait.
func TestCloseDoesNotWaitForALostBroker(t *testing.T) {
	dir := t.TempDir()
	_, stop := start(t, dir)
	url, err := broker.Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.Connect(t.Context(), url, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	lost := b.Conn().StatusChanged(nats.RECONNECTING)
	stop()
	<-lost
	began := time.Now()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("closing took %v", took)
	}
}

func TestRestartRedelivers(t *testing.T) {
	dir := t.TempDir()
	b, stop := start(t, dir)
	spec := broker.ConsumerSpec{Name: "clean", Kinds: []schemas.Kind{schemas.DialogueRaw}, AckWait: time.Hour}
	take := func(b *broker.Broker) jetstream.Msg {
		t.Helper()
		c, err := b.Consumer(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		m, err := c.Next(jetstream.FetchMaxWait(5 * time.Second))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, id := range []string{"one", "two"} {
		if _, err := b.Publish(t.Context(), event(t, schemas.DialogueRaw, id)); err != nil {
			t.Fatal(err)
		}
	}
	if err := take(b).DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}
	taken, err := broker.DecodeMsg(take(b))
	if err != nil {
		t.Fatal(err)
	}
	stop()
	b, _ = start(t, dir)
	again, err := broker.DecodeMsg(take(b))
	if err != nil || again.ID != taken.ID || again.ID != "two" {
		t.Errorf("after a restart %q comes, want %q (%v)", again.ID, taken.ID, err)
	}
}

func TestUnservedSubjectIsExplained(t *testing.T) {
	b, _ := start(t, t.TempDir())
	m := broker.Message{Subject: "elsewhere.nobody", Body: []byte("{}")}
	if _, err := b.Commit(t.Context(), []broker.Message{m}); !errors.Is(err, nats.ErrNoResponders) || !strings.Contains(err.Error(), "no stream takes") {
		t.Errorf("%v; want an error that says why", err)
	}
}
