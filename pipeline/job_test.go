package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/pipelinetest"
	"github.com/glmflow/glmflow/schemas"
)

// made runs one job that does run and may emit every data kind.
func made(t *testing.T, run func(ctx context.Context, job *pipeline.Job) error) pipelinetest.Result {
	t.Helper()
	return pipelinetest.Run(t, toy{pipeline.Spec{Name: "toy", In: []schemas.Kind{schemas.TrainDue}, Out: schemas.DataKinds()}, run}, due("x"))
}

func TestEmptyDatasets(t *testing.T) {
	r := made(t, func(ctx context.Context, job *pipeline.Job) error {
		if err := pipeline.Emit[schemas.TokenRow](job, schemas.Tokens); err != nil { // no rows: no dataset
			return err
		}
		if err := job.Meta(schemas.DialogueClean, map[string]string{"seen": "0"}); err != nil {
			return err
		}
		return job.Cut(schemas.DialogueReject, nil)
	})
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	if n := len(r.Outputs[schemas.Tokens]); n != 0 {
		t.Errorf("%d tokens datasets, want none", n)
	}
	for _, kind := range []schemas.Kind{schemas.DialogueClean, schemas.DialogueReject} {
		if n := len(r.Outputs[kind]); n != 1 || r.Outputs[kind][0].Rows != 0 {
			t.Errorf("%s: %+v, want one dataset without rows", kind, r.Outputs[kind])
		}
	}
	if rows := pipelinetest.Rows[schemas.Dialogue](t, r, schemas.DialogueClean); len(rows) != 0 {
		t.Errorf("rows %v", rows)
	}
	if diff := cmp.Diff(map[string]string{"seen": "0"}, r.Outputs[schemas.DialogueClean][0].Meta); diff != "" {
		t.Error(diff)
	}
}

// TestCarriers: the same rows come back whether the event carried them or the
// store did, and only small datasets travel in the event.
func TestCarriers(t *testing.T) {
	for _, n := range []int{1, 5000} {
		r := made(t, func(ctx context.Context, job *pipeline.Job) error {
			rows := make([]schemas.TokenRow, n)
			for i := range rows {
				rows[i] = schemas.TokenRow{ID: fmt.Sprint(i), IDs: []int32{int32(i), int32(i * i)}, Labels: []int32{-100, 2}}
			}
			return pipeline.Emit(job, schemas.Tokens, rows...)
		})
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		d := r.Outputs[schemas.Tokens][0]
		if inline := len(d.Inline) > 0; inline != (n == 1) || len(d.Inline) > 32<<10 {
			t.Errorf("%d rows: %d bytes inline", n, len(d.Inline))
		}
		carried := pipelinetest.Rows[schemas.TokenRow](t, r, schemas.Tokens)
		d.Inline = nil
		var stored []schemas.TokenRow
		for row, err := range pipeline.RowsOf[schemas.TokenRow](t.Context(), r.Store, d) {
			if err != nil {
				t.Fatal(err)
			}
			stored = append(stored, row)
		}
		if diff := cmp.Diff(carried, stored); diff != "" || len(stored) != n || d.Rows != int64(n) {
			t.Errorf("%d rows, %d stored: %s", d.Rows, len(stored), diff)
		}
	}
}

// TestMisuse: what a stage must not do is an error that says so.
func TestMisuse(t *testing.T) {
	post := func(ev schemas.Event, o ...pipeline.PostOption) func(context.Context, *pipeline.Job) error {
		return func(_ context.Context, job *pipeline.Job) error { return job.Post(ev, o...) }
	}
	for _, c := range []struct {
		run  func(context.Context, *pipeline.Job) error
		want string
	}{
		{func(_ context.Context, job *pipeline.Job) error { return job.Cut(schemas.TrainDue, nil) }, "does not declare train.due"},
		{func(_ context.Context, job *pipeline.Job) error {
			return pipeline.Emit(job, schemas.Tokens, schemas.Dialogue{})
		}, "emit tokens: the record has the schema"},
		{func(_ context.Context, job *pipeline.Job) error { _, err := job.Dataset(); return err }, "refers to no dataset"},
		{post(schemas.Event{Type: schemas.TrainRequest}), "does not declare train.request"},
		{post(schemas.Event{Type: schemas.Score}, pipeline.To("$SYS.REQ.SERVER.PING")), "no subject for a reply"},
		{post(schemas.Event{Type: schemas.Score}, pipeline.To("a.*")), "no subject for a reply"},
		{post(schemas.Event{Type: schemas.Score}, pipeline.To("a..b")), "no subject for a reply"},
		{post(schemas.Event{Type: schemas.Score, SpecVersion: "9"}), "specversion"},
	} {
		if r := made(t, c.run); r.Err == nil || !strings.Contains(r.Err.Error(), c.want) {
			t.Errorf("error %v, want one about %q", r.Err, c.want)
		}
	}
}

func TestNothingAfterTheEnd(t *testing.T) {
	var kept *pipeline.Job
	if r := made(t, func(_ context.Context, job *pipeline.Job) error { kept = job; return nil }); r.Err != nil {
		t.Fatal(r.Err)
	}
	if err := pipeline.Emit(kept, schemas.Tokens, schemas.TokenRow{}); err == nil {
		t.Error("a job that was over took rows")
	}
}

// TestBrokenInputs: an event that refers to what is not there, or not what it
// says, is an error of the right sort.
func TestBrokenInputs(t *testing.T) {
	reading := toy{pipeline.Spec{Name: "toy", In: []schemas.Kind{schemas.Tokens}}, func(ctx context.Context, job *pipeline.Job) error {
		for _, err := range pipeline.Rows[schemas.TokenRow](job) {
			if err != nil {
				return err
			}
		}
		return nil
	}}
	data := func(d schemas.Dataset) pipelinetest.Input { return pipelinetest.Input{Kind: schemas.Tokens, Data: d} }
	good := schemas.Dataset{Kind: schemas.Tokens, Version: 1, Rows: 1}
	edit := func(f func(*schemas.Dataset)) pipelinetest.Input { d := good; f(&d); return data(d) }
	for name, c := range map[string]struct {
		in     pipelinetest.Input
		parked bool
	}{
		"another kind":     {edit(func(d *schemas.Dataset) { d.Kind = schemas.Score }), true},
		"a later version":  {edit(func(d *schemas.Dataset) { d.Version = 99 }), true},
		"not a dataset":    {pipelinetest.Input{Kind: schemas.Tokens, Data: []int{1}}, true},
		"not in the store": {edit(func(d *schemas.Dataset) { d.Digest = string(artifact.Of([]byte("absent"))) }), false},
		"no digest":        {edit(func(d *schemas.Dataset) { d.Digest = "x" }), false},
		"broken inline":    {edit(func(d *schemas.Dataset) { d.Inline = []byte("hello") }), true},
	} {
		r := pipelinetest.Run(t, reading, c.in)
		if r.Err == nil || pipeline.IsParked(r.Err) != c.parked {
			t.Errorf("%s: %v, parked %v, want parked %v", name, r.Err, pipeline.IsParked(r.Err), c.parked)
		}
	}
}

// TestSwallowedCancellation: a stage that returns nil after it was cancelled
// hands nothing over, for it may have stopped half-way.
func TestSwallowedCancellation(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	store := pipelinetest.Store(t)
	_, err := pipeline.Do(ctx, onDue(pipeline.Spec{}, func(context.Context, *pipeline.Job) error { cancel(); return nil }), due("x").Event(t, store), pipeline.Options{Store: store})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestOutcomeErrors(t *testing.T) {
	cause := errors.New("cause")
	if err := pipeline.Park(cause); !pipeline.IsParked(fmt.Errorf("wrapped: %w", err)) || !errors.Is(err, cause) {
		t.Error("a parked error hides")
	}
	if d, ok := pipeline.AsLater(fmt.Errorf("wrapped: %w", pipeline.Later(time.Minute, cause))); !ok || d != time.Minute {
		t.Errorf("later: %s, %v", d, ok)
	}
	if pipeline.Park(nil) != nil || pipeline.IsParked(cause) || pipeline.IsParked(nil) {
		t.Error("an error is parked that is not")
	}
	if _, ok := pipeline.AsLater(cause); ok {
		t.Error("an error asks for time that does not")
	}
}
