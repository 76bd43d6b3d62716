package trigger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/pipeline/window"
	"github.com/glmflow/glmflow/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

// next reads n messages of a subject from their stream, waiting for them.
func next(t *testing.T, b *broker.Broker, stream, subject string, n int) []jetstream.Msg {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	consumer, err := b.JetStream().OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	if err != nil {
		t.Fatal(err)
	}
	var got []jetstream.Msg
	for len(got) < n {
		m, err := consumer.Next(jetstream.FetchContext(ctx))
		if err != nil {
			t.Fatalf("message %d of %d on %s: %v", len(got)+1, n, subject, err)
		}
		got = append(got, m)
	}
	return got
}

func TestSchedulesAreKept(t *testing.T) {
	b := testBroker(t)
	s, ctx := NewSchedules(b), t.Context()
	nightly := Schedule{Name: "nightly", Clock: Clock{"0 3 * * *", "Asia/Shanghai"}, Order: schemas.TrainOrder{Model: "assistant"}, Actor: "ann"}
	weekly := Schedule{Name: "weekly", Clock: Clock{"@weekly", ""}}
	for _, schedule := range []Schedule{weekly, nightly, nightly} {
		if err := s.Set(ctx, schedule); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if list[i].Set.IsZero() {
			t.Errorf("%s does not say when it was set", list[i].Name)
		}
		list[i].Set = time.Time{}
	}
	if diff := cmp.Diff([]Schedule{nightly, weekly}, list); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	times, err := s.Next(ctx, "nightly", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), 1)
	if err != nil || len(times) != 1 || times[0].Format(time.RFC3339) != "2026-01-02T03:00:00+08:00" {
		t.Errorf("next %v, %v", times, err)
	}
	if err := s.Remove(ctx, "weekly"); err != nil {
		t.Fatal(err)
	}
	if list, err := s.List(ctx); err != nil || len(list) != 1 {
		t.Errorf("after removal %v, %v", list, err)
	}
	for what, err := range map[string]error{
		"remove": s.Remove(ctx, "weekly"),
		"next":   func() error { _, err := s.Next(ctx, "weekly", time.Now(), 1); return err }(),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s of a schedule that is gone: %v", what, err)
		}
	}
	for _, name := range []string{"", "a.b", "a b", ">", strings.Repeat("x", 65)} {
		if err := s.Set(ctx, Schedule{Name: name, Clock: Clock{"@daily", ""}}); err == nil {
			t.Errorf("a schedule was called %q", name)
		}
	}
}

// TestPreviewAgreesWithBroker sets schedules that fire in a moment and whose next
// firing lies days or years ahead, and compares the preview with what the broker
// says in the fired message.
func TestPreviewAgreesWithBroker(t *testing.T) {
	b := testBroker(t)
	s := NewSchedules(b)
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(2500 * time.Millisecond).In(zone)
	time3 := fmt.Sprintf("%d %d %d", at.Second(), at.Minute(), at.Hour())
	exprs := map[string]string{
		"daily":   time3 + " * * *",
		"weekday": fmt.Sprintf("%s * * %s", time3, strings.ToLower(at.Weekday().String()[:3])),
		"monthly": fmt.Sprintf("%s %d * *", time3, at.Day()),
		"yearly":  fmt.Sprintf("%s %d %d ?", time3, at.Day(), int(at.Month())),
		"either":  fmt.Sprintf("%s %d */2,%d 1-5", time3, at.Day(), int(at.Month())),
	}
	for name, expr := range exprs {
		if err := s.Set(t.Context(), Schedule{Name: name, Clock: Clock{expr, "Asia/Shanghai"}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range next(t, b, broker.ScheduleStream, broker.AllFires, len(exprs)) {
		name := m.Subject()[strings.LastIndexByte(m.Subject(), '.')+1:]
		said, err := time.Parse(time.RFC3339Nano, m.Headers().Get(jetstream.ScheduleNextHeader))
		if err != nil {
			t.Fatal(err)
		}
		want, err := Clock{exprs[name], "Asia/Shanghai"}.Next(at.Truncate(time.Second), 1)
		if err != nil || !said.Equal(want[0]) {
			t.Errorf("%s (%s): the broker says %v, the preview %v, %v", name, exprs[name], said, want, err)
		}
	}
}

// TestIntervalPreview compares the preview of an interval with the firing.
func TestIntervalPreview(t *testing.T) {
	b := testBroker(t)
	s := NewSchedules(b)
	if err := s.Set(t.Context(), Schedule{Name: "often", Clock: Clock{"@every 2s", ""}}); err != nil {
		t.Fatal(err)
	}
	set, err := s.Get(t.Context(), "often")
	if err != nil {
		t.Fatal(err)
	}
	before, err := s.Next(t.Context(), "often", set.Set, 2)
	if err != nil {
		t.Fatal(err)
	}
	fired := next(t, b, broker.ScheduleStream, broker.AllFires, 1)[0]
	said := fired.Headers().Get(jetstream.ScheduleNextHeader)
	if got := before[1].Format(time.RFC3339Nano); got != said {
		t.Errorf("preview before the first firing %v, the broker says %s", before, said)
	}
	after, err := s.Next(t.Context(), "often", set.Set, 1)
	if err != nil || after[0].Format(time.RFC3339Nano) != said {
		t.Errorf("preview after the first firing %v, %v; the broker says %s", after, err, said)
	}
}

// TestThreeBridgesOrderOnce runs three bridges, one of which stops half-way, over
// a schedule that fires every second.
func TestThreeBridgesOrderOnce(t *testing.T) {
	b := testBroker(t)
	if err := NewSchedules(b).Set(t.Context(), Schedule{Name: "often", Clock: Clock{"* * * * * *", ""}, Order: schemas.TrainOrder{Model: "assistant"}}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	start := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			if err := NewBridge(b, nil).Run(ctx); err != nil {
				t.Error(err)
			}
		})
		return cancel
	}
	stops := []func(){start(), start(), start()}
	next(t, b, broker.Stream, broker.AllEvents, 1)
	stops[0]()
	orders := next(t, b, broker.Stream, broker.AllEvents, 3)
	fires := next(t, b, broker.ScheduleStream, broker.AllFires, 3)
	for i, m := range orders {
		ev, err := broker.DecodeMsg(m)
		if err != nil {
			t.Fatal(err)
		}
		want, err := orderOf(fires[i])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, ev); diff != "" {
			t.Errorf("order %d (-of its firing +stored):\n%s", i, diff)
		}
		var order schemas.TrainOrder
		if err := ev.Decode(&order); err != nil || order.Model != "assistant" || order.Reason != "schedule often" || ev.Actor != "schedule often" {
			t.Errorf("order %+v by %s, %v", order, ev.Actor, err)
		}
	}
	for _, stop := range stops {
		stop()
	}
	wg.Wait()
}

// TestBridgeRepeatsNothing passes one firing twice, as after a crash between
// publishing and acknowledging.
func TestBridgeRepeatsNothing(t *testing.T) {
	b := testBroker(t)
	if err := NewSchedules(b).Set(t.Context(), Schedule{Name: "often", Clock: Clock{"@every 1s", ""}}); err != nil {
		t.Fatal(err)
	}
	m := next(t, b, broker.ScheduleStream, broker.AllFires, 1)[0]
	ids := map[string]bool{}
	for range 2 {
		ev, err := orderOf(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Publish(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
		ids[ev.ID] = true
	}
	stream, err := b.JetStream().Stream(t.Context(), broker.Stream)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 1 || len(ids) != 1 {
		t.Errorf("%d orders with %d ids are stored, want 1", n, len(ids))
	}
}

// meter is a [Meter] that a test moves.
type meter struct {
	mu      sync.Mutex
	fresh   window.Fresh
	changed chan struct{}
}

func (m *meter) Fresh(context.Context, string, []string) (window.Fresh, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fresh, nil
}

func (m *meter) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

func TestThresholdOrders(t *testing.T) {
	source := func(rows int64, returned bool) window.Source {
		return window.Source{Dataset: schemas.Dataset{Rows: rows}, Returned: returned}
	}
	steps := []struct {
		name  string
		fresh window.Fresh
		order bool // whether it is another order than any before
	}{
		{"nothing", window.Fresh{}, false},
		{"too few", window.Fresh{Sources: []window.Source{source(99, false)}}, false},
		{"only returned", window.Fresh{Sources: []window.Source{source(500, true)}}, false},
		{"reached", window.Fresh{Sources: []window.Source{source(60, false), source(60, false)}}, true},
		{"a few more, no window yet", window.Fresh{Sources: []window.Source{source(199, false)}}, false},
		{"as many again, still no window", window.Fresh{Sources: []window.Source{source(200, false)}}, true},
		{"after a window", window.Fresh{Sources: []window.Source{source(120, false)}, Last: 9}, true},
	}
	threshold := Threshold{Model: "assistant", Fresh: 100}
	seen := map[string]bool{}
	for _, step := range steps {
		var ids []string
		for range 3 { // three watchers
			ev, due, err := threshold.order(t.Context(), &meter{fresh: step.fresh}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if due {
				ids = append(ids, ev.ID)
			}
		}
		if len(slices.Compact(ids)) > 1 {
			t.Errorf("%s: three watchers make %d orders", step.name, len(ids))
		}
		if isNew := len(ids) > 0 && !seen[ids[0]]; isNew != step.order {
			t.Errorf("%s: ordered anew: %v, want %v", step.name, isNew, step.order)
		}
		for _, id := range ids {
			seen[id] = true
		}
	}
}

func TestThresholdWatches(t *testing.T) {
	b := testBroker(t)
	m := &meter{changed: make(chan struct{})}
	m.fresh.Sources = []window.Source{{Dataset: schemas.Dataset{Rows: 5000}}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- Threshold{Model: "assistant", Fresh: 5000}.Watch(ctx, b, m, nil) }()
	ev, err := broker.DecodeMsg(next(t, b, broker.Stream, broker.AllEvents, 1)[0])
	if err != nil || ev.Actor != "threshold" {
		t.Errorf("order %+v, %v", ev, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := (Threshold{}).Watch(t.Context(), b, m, nil); err == nil {
		t.Error("an empty threshold is watched")
	}
}
