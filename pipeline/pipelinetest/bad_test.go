package pipelinetest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/pipelinetest"
	"github.com/glmflow/glmflow/schemas"
)

// badStage tells the test binary which breach of the contract to exercise.
const badStage = "GLMFLOW_TEST_BAD_STAGE"

type run = func(context.Context, *pipeline.Job) error

// breaches are counters that break the contract in one way, and what the suite
// must say about it.
func breaches() map[string]struct {
	around func(ctx context.Context, job *pipeline.Job, run run) error
	says   string
} {
	emit := func(job *pipeline.Job, id string) error {
		return pipeline.Emit(job, schemas.Tokens, schemas.TokenRow{ID: id})
	}
	return map[string]struct {
		around func(ctx context.Context, job *pipeline.Job, run run) error
		says   string
	}{
		"clock in a row": {func(ctx context.Context, job *pipeline.Job, run run) error {
			return errors.Join(run(ctx, job), emit(job, job.Now().String()))
		}, "gives something else the second time"},
		"attempt in a row": {func(ctx context.Context, job *pipeline.Job, run run) error {
			return errors.Join(run(ctx, job), emit(job, fmt.Sprint(job.Attempt())))
		}, "gives something else the second time"},
		"store error parked": {func(ctx context.Context, job *pipeline.Job, run run) error {
			return pipeline.Park(run(ctx, job))
		}, "the job is parked, though the store may be mended"},
		"store error swallowed": {func(ctx context.Context, job *pipeline.Job, run run) error {
			if err := run(ctx, job); err != nil && !pipeline.IsParked(err) {
				return errors.New("something went wrong")
			} else {
				return err
			}
		}, "the error hides its cause"},
		"store error panics": {func(ctx context.Context, job *pipeline.Job, run run) error {
			if err := run(ctx, job); err != nil && !pipeline.IsParked(err) {
				panic(err)
			}
			return nil
		}, "panic:"},
		"poison retried": {func(ctx context.Context, job *pipeline.Job, run run) error {
			if err := run(ctx, job); err != nil {
				return fmt.Errorf("not parked: %s: %w", err, pipelinetest.ErrInjected)
			}
			return nil
		}, "after 5 attempts"},
		"goroutine left": {func(ctx context.Context, job *pipeline.Job, run run) error {
			go func() { <-time.After(time.Hour) }()
			return run(ctx, job)
		}, "a goroutine is left"},
		"forgetful state": {func(ctx context.Context, job *pipeline.Job, run run) error {
			if r, err := job.State().Load(ctx, "done"); err == nil {
				r.Close()
				return nil // it was begun, so it must be done
			}
			return run(ctx, job)
		}, "gives something else"},
	}
}

// TestBadStage is the suite on a bad stage; it runs in a process of its own.
func TestBadStage(t *testing.T) {
	bad, ok := breaches()[os.Getenv(badStage)]
	if !ok {
		t.Skip("no bad stage is asked for; TestExerciseFinds asks")
	}
	stage := func() pipeline.Stage { return pipelinetest.Wrapped{Stage: counter{}, Around: bad.around} }
	pipelinetest.Exercise(t, stage, pipelinetest.Fixture{
		Inputs: []pipelinetest.Input{clean("a", "b"), clean("e")},
		Poison: &pipelinetest.Input{Kind: schemas.DialogueClean, Rows: []schemas.Dialogue{{ID: "empty"}}},
	})
}

// TestExerciseFinds: a suite that passes everything proves nothing.
func TestExerciseFinds(t *testing.T) {
	for name, bad := range breaches() {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestBadStage$")
			cmd.Env = append(os.Environ(), badStage+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatal("the suite passed")
			}
			if !strings.Contains(string(out), bad.says) {
				t.Errorf("the suite did not say %q:\n%s", bad.says, out)
			}
		})
	}
}
