package pipelinetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/schemas"
)

// A Fixture is what [Exercise] feeds a stage with. Keep the inputs small: every
// one is worked on about a dozen times.
type Fixture struct {
	Inputs []Input // jobs that succeed, different ones; at least one
	Poison *Input  // a job that must be parked, if the stage knows such a thing
}

// Exercise runs the conformance suite on the stages that stage makes. Each call
// must make an equal one that shares nothing with the others, as another process
// would. It looks for goroutines that stay, so it must not run beside other tests.
//
// The suite proves what doc.go of package pipeline promises and a stage can break:
//
//   - the same job gives the same bytes, at another time and in another attempt;
//   - what the store refuses is an error, no panic and no dead letter, and leaves
//     nothing behind that changes the next attempt;
//   - a crash between the stage's return and the hand-over, or between the
//     hand-over and the acknowledgement, loses and doubles nothing;
//   - a cancelled job stops, and goes on later to the same bytes;
//   - poison is parked with a reason, and hands over nothing.
func Exercise(t *testing.T, stage func() pipeline.Stage, fixture Fixture) {
	t.Helper()
	if len(fixture.Inputs) == 0 {
		t.Fatal("the fixture has no inputs")
	}
	if _, err := pipeline.NewFlow(source{stage().Spec()}, stage()); err != nil {
		t.Fatal(err)
	}
	x := &exercise{stage: stage, fixture: fixture}
	if !t.Run("redelivery gives equal bytes", x.redelivery) {
		return // the other parts compare with these bytes
	}
	leaks := goleak.IgnoreCurrent()
	t.Run("store faults are errors", x.faults)
	t.Run("crash before the hand-over", x.crashBefore)
	t.Run("crash after the hand-over", x.crashAfter)
	t.Run("cancel drains", x.cancel)
	if fixture.Poison != nil {
		t.Run("poison parks", x.poison)
	}
	if err := goleak.Find(leaks); err != nil {
		t.Errorf("a goroutine is left: %v", err)
	}
}

// exercise is a suite at work.
type exercise struct {
	stage   func() pipeline.Stage
	fixture Fixture
	want    []made // what each input gives, undisturbed
	reports int    // how often the stage reported on the first input
}

// made is what one job made, as far as it must be equal each time: not its times.
type made struct {
	Outputs []schemas.Event
	Replies []schemas.Event
}

// source is a stand-in for the stages before the one under test.
type source struct{ spec pipeline.Spec }

func (s source) Spec() pipeline.Spec {
	return pipeline.Spec{Name: s.spec.Name + "-source", In: schemas.ControlKinds()[:1], Out: s.spec.In}
}
func (source) Run(context.Context, *pipeline.Job) error { return errors.New("stands in for others") }

// do does one job in a store of its own, with a clock that shows hours.
func (x *exercise) do(t *testing.T, in Input, store *artifact.Store, attempt int, hours int, report func(pipeline.Progress)) (made, error) {
	t.Helper()
	h, err := pipeline.Do(t.Context(), x.stage(), in.Event(t, store), pipeline.Options{
		Store: store, Attempt: attempt, Progress: report,
		Clock: func() time.Time { return time.Unix(1_700_000_000, 0).Add(time.Duration(hours) * time.Hour) },
	})
	if err != nil {
		return made{}, err
	}
	var m made
	replies := map[string]bool{}
	for _, r := range h.Done.Replies {
		replies[r.Event.ID] = true
		m.Replies = append(m.Replies, timeless(r.Event))
	}
	for _, ev := range h.Data {
		m.Outputs = append(m.Outputs, timeless(ev))
	}
	for _, ev := range h.Posted {
		if !replies[ev.ID] {
			m.Outputs = append(m.Outputs, timeless(ev))
		}
	}
	return m, nil
}

func timeless(ev schemas.Event) schemas.Event {
	ev.Time = time.Time{}
	return ev
}

func (x *exercise) redelivery(t *testing.T) {
	seen := map[string]bool{}
	for i, in := range x.fixture.Inputs {
		var reports int
		first, err := x.do(t, in, Store(t), 1, 0, func(pipeline.Progress) { reports++ })
		if err != nil {
			t.Fatalf("input %d (%s): %v", i, in.Kind, err)
		}
		again, err := x.do(t, in, Store(t), 2, 30, nil)
		if err != nil {
			t.Fatalf("input %d (%s), delivered again: %v", i, in.Kind, err)
		}
		if diff := cmp.Diff(first, again); diff != "" {
			t.Fatalf("input %d (%s) gives something else the second time:\n%s", i, in.Kind, diff)
		}
		if i == 0 {
			x.reports = reports
		}
		x.want = append(x.want, first)
		if id := in.Event(t, Store(t)).ID; seen[id] {
			t.Fatalf("input %d (%s) is the same event as another", i, in.Kind)
		} else {
			seen[id] = true
		}
	}
}

// faults breaks single operations on the store, spread over the job.
func (x *exercise) faults(t *testing.T) {
	const most = 5 // some stages take a second each time
	in := x.fixture.Inputs[0]
	count := NewFaults()
	store := Store(t, count.Option())
	in.Event(t, store)
	count.FailAfter(-1)
	if _, err := x.do(t, in, store, 1, 0, nil); err != nil {
		t.Fatal(err)
	}
	total := count.Seen()
	for i := range min(total, most) {
		n := i * total / min(total, most)
		t.Run(fmt.Sprintf("operation %d of %d", n, total), func(t *testing.T) { x.fault(t, in, n) })
	}
}

func (x *exercise) fault(t *testing.T, in Input, n int) {
	faults := NewFaults()
	store := Store(t, faults.Option())
	ev := in.Event(t, store)
	faults.FailAfter(n)
	h, err := pipeline.Do(t.Context(), x.stage(), ev, pipeline.Options{Store: store})
	faults.FailAfter(-1)
	var p *pipeline.Panic
	switch {
	case errors.As(err, &p):
		t.Errorf("%v\n%s", err, p.Stack)
	case pipeline.IsParked(err):
		t.Errorf("the job is parked, though the store may be mended: %v", err)
	case err != nil && !errors.Is(err, ErrInjected):
		t.Errorf("the error hides its cause: %v", err)
	case err == nil && h.Done.Stage == "":
		t.Error("no error and no hand-over")
	}
	got, err := x.do(t, in, store, 2, 0, nil)
	if err != nil {
		t.Fatalf("the next attempt: %v", err)
	}
	if diff := cmp.Diff(x.want[0], got); diff != "" {
		t.Errorf("the next attempt gives something else:\n%s", diff)
	}
}

// decoded returns v in the form that JSON makes of it, so that what travelled can
// be compared with what did not.
func decoded(t testing.TB, raw json.RawMessage) (v any) {
	t.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
