package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/pipelinetest"
	"github.com/glmflow/glmflow/schemas"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		victim(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// toy is a stage made of two values.
type toy struct {
	spec pipeline.Spec
	run  func(context.Context, *pipeline.Job) error
}

func (s toy) Spec() pipeline.Spec                              { return s.spec }
func (s toy) Run(ctx context.Context, job *pipeline.Job) error { return s.run(ctx, job) }

// scrub passes dialogues on in lower case and rejects those that say "junk"; one
// that says "poison" parks the job.
func scrub() pipeline.Stage {
	return toy{
		pipeline.Spec{Name: "scrub", In: []schemas.Kind{schemas.DialogueRaw}, Out: []schemas.Kind{schemas.DialogueClean, schemas.DialogueReject}, Workers: 2},
		func(ctx context.Context, job *pipeline.Job) error {
			for d, err := range pipeline.Rows[schemas.Dialogue](job) {
				if err != nil {
					return err
				}
				if strings.Contains(d.Turns[0].Content, "poison") {
					return pipeline.Park(errors.New("poisoned"))
				}
				if strings.Contains(d.Turns[0].Content, "junk") {
					if err := pipeline.Emit(job, schemas.DialogueReject, schemas.Reject{ID: d.ID, Rule: "junk"}); err != nil {
						return err
					}
					continue
				}
				d.Turns[0].Content = strings.ToLower(d.Turns[0].Content)
				if err := pipeline.Emit(job, schemas.DialogueClean, d); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// split writes every dialogue into a tokens dataset of its own.
func split() pipeline.Stage {
	return toy{
		pipeline.Spec{Name: "split", In: []schemas.Kind{schemas.DialogueClean}, Out: []schemas.Kind{schemas.Tokens}},
		func(ctx context.Context, job *pipeline.Job) error {
			for d, err := range pipeline.Rows[schemas.Dialogue](job) {
				if err != nil {
					return err
				}
				row := schemas.TokenRow{ID: d.ID, IDs: []int32{1}, Labels: []int32{2}}
				if err := pipeline.Emit(job, schemas.Tokens, row); err != nil {
					return err
				}
				if err := job.Cut(schemas.Tokens, map[string]string{"first": d.ID}); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// raw is a job of dialogues with those contents.
func raw(contents ...string) pipelinetest.Input {
	var rows []schemas.Dialogue
	for i, c := range contents {
		rows = append(rows, schemas.Dialogue{ID: fmt.Sprintf("%s-%d", c, i), Turns: []schemas.Turn{{Role: schemas.RoleUser, Content: c}}})
	}
	return pipelinetest.Input{Kind: schemas.DialogueRaw, Rows: rows}
}

// due is a control job.
func due(reason string) pipelinetest.Input {
	return pipelinetest.Input{Kind: schemas.TrainDue, Data: schemas.TrainJob{Model: "m", Reason: reason}}
}

// onDue is a stage that wakes up for train.due and does run.
func onDue(spec pipeline.Spec, run func(context.Context, *pipeline.Job) error) pipeline.Stage {
	if spec.Name == "" {
		spec.Name = "toy"
	}
	spec.In = []schemas.Kind{schemas.TrainDue}
	spec.Out = append(spec.Out, schemas.Adapter, schemas.ModelAlias, schemas.TrainRequest)
	return toy{spec, run}
}
