package pipelinetest

import (
	"testing"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/schemas"
)

// A Result is what one job made.
type Result struct {
	Err     error
	Outputs map[schemas.Kind][]schemas.Dataset
	Posted  []schemas.Event // replies among them
	Reports []pipeline.Progress
	Store   *artifact.Store
}

// Run does one job of stage in memory, without a broker.
func Run(t testing.TB, stage pipeline.Stage, in Input) Result {
	t.Helper()
	return RunIn(t, Store(t), stage, in)
}

// RunIn is [Run] with a store that may hold something already, or that breaks.
func RunIn(t testing.TB, store *artifact.Store, stage pipeline.Stage, in Input) Result {
	t.Helper()
	r := Result{Store: store, Outputs: map[schemas.Kind][]schemas.Dataset{}}
	h, err := pipeline.Do(t.Context(), stage, in.Event(t, store), pipeline.Options{
		Store:    store,
		Progress: func(p pipeline.Progress) { r.Reports = append(r.Reports, p) },
	})
	r.Err, r.Posted = err, h.Posted
	for _, ev := range h.Data {
		var d schemas.Dataset
		if err := ev.Decode(&d); err != nil {
			t.Fatal(err)
		}
		r.Outputs[ev.Type] = append(r.Outputs[ev.Type], d)
	}
	return r
}

// Rows returns the rows of all datasets of kind that the job made, in order.
func Rows[T any](t testing.TB, r Result, kind schemas.Kind) []T {
	t.Helper()
	var rows []T
	for _, d := range r.Outputs[kind] {
		for row, err := range pipeline.RowsOf[T](t.Context(), r.Store, d) {
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// Store opens a store in memory that closes with the test.
func Store(t testing.TB, opts ...artifact.Option) *artifact.Store {
	t.Helper()
	s, err := artifact.Open(t.Context(), "mem://", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
