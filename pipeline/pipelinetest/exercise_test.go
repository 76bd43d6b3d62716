package pipelinetest_test

import (
	"context"
	"errors"
	"io"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/pipelinetest"
	"github.com/glmflow/glmflow/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counter is a small stage with everything that the suite looks at: it reads
// rows, reports, keeps state, emits, cuts and posts.
type counter struct{}

func (counter) Spec() pipeline.Spec {
	return pipeline.Spec{Name: "counter", In: []schemas.Kind{schemas.DialogueClean}, Out: []schemas.Kind{schemas.Tokens, schemas.TrainRequest}, Attempts: 1}
}

func (counter) Run(ctx context.Context, job *pipeline.Job) error {
	done := 0
	if r, err := job.State().Load(ctx, "done"); err == nil {
		text, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			return err
		}
		if done, err = strconv.Atoi(string(text)); err != nil {
			return err
		}
	}
	n := 0
	for d, err := range pipeline.Rows[schemas.Dialogue](job) {
		if err != nil {
			return err
		}
		if len(d.Turns) == 0 {
			return pipeline.Park(errors.New("a dialogue without turns"))
		}
		n++
		if err := pipeline.Emit(job, schemas.Tokens, schemas.TokenRow{ID: d.ID, IDs: []int32{int32(n)}, Labels: []int32{1}}); err != nil {
			return err
		}
		if err := job.Cut(schemas.Tokens, nil); err != nil {
			return err
		}
		job.Report(pipeline.Progress{Done: int64(n)})
		if n <= done {
			continue
		}
		err := job.State().Save(ctx, "done", func(w io.Writer) error { _, err := io.WriteString(w, strconv.Itoa(n)); return err })
		if err != nil {
			return err
		}
	}
	ev, err := schemas.NewEvent(schemas.TrainRequest, "", "", job.Now(), schemas.TrainOrder{Reason: strconv.Itoa(n) + " dialogues"})
	if err != nil {
		return err
	}
	return job.Post(ev)
}

func clean(ids ...string) pipelinetest.Input {
	var rows []schemas.Dialogue
	for _, id := range ids {
		rows = append(rows, schemas.Dialogue{ID: id, Turns: []schemas.Turn{{Role: schemas.RoleUser, Content: id}}})
	}
	return pipelinetest.Input{Kind: schemas.DialogueClean, Rows: rows}
}

func TestExercise(t *testing.T) {
	pipelinetest.Exercise(t, func() pipeline.Stage { return counter{} }, pipelinetest.Fixture{
		Inputs: []pipelinetest.Input{clean("a", "b", "c", "d"), clean("e")},
		Poison: &pipelinetest.Input{Kind: schemas.DialogueClean, Rows: []schemas.Dialogue{{ID: "empty"}}},
	})
}

func TestRun(t *testing.T) {
	r := pipelinetest.Run(t, counter{}, clean("a", "b"))
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	rows := pipelinetest.Rows[schemas.TokenRow](t, r, schemas.Tokens)
	if len(rows) != 2 || rows[1].ID != "b" || rows[1].IDs[0] != 2 {
		t.Errorf("rows %+v", rows)
	}
	if len(r.Outputs[schemas.Tokens]) != 2 || len(r.Posted) != 1 || len(r.Reports) != 2 {
		t.Errorf("%d datasets, %d posted, %d reports", len(r.Outputs[schemas.Tokens]), len(r.Posted), len(r.Reports))
	}
}
