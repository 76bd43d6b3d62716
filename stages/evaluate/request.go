package evaluate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/schemas"
)

// Failed is the kind of the event that tells a requester why there is no score.
// It goes to the reply subject alone.
const Failed schemas.Kind = "eval.failed"

// A Failure is the data of a [Failed] event.
type Failure struct {
	Request string `json:"request"` // id of the eval.request
	Error   string `json:"error"`
}

// answerRequest evaluates what an eval.request asks for. A request that can
// never be answered is parked; if it named a reply subject, its sender is told
// instead.
func (s *Stage) answerRequest(ctx context.Context, job *pipeline.Job) error {
	var order schemas.EvalOrder
	if err := job.Event().Decode(&order); err != nil {
		return pipeline.Park(err)
	}
	if order.Reply != "" {
		if err := pipeline.CheckReply(order.Reply); err != nil {
			return pipeline.Park(fmt.Errorf("reply: %w", err))
		}
	}
	row, err := s.requested(ctx, job, order)
	switch {
	case pipeline.IsParked(err) && order.Reply != "":
		job.Log().Warn("refused a request", "error", err)
		job.Note("refused: " + err.Error())
		return post(job, Failed, order.Reply, Failure{job.Event().ID, err.Error()})
	case err != nil:
		return err
	}
	if err := pipeline.Emit(job, schemas.Score, row); err != nil {
		return err
	}
	if order.Reply == "" {
		return nil
	}
	return post(job, schemas.Score, order.Reply, row)
}

func (s *Stage) requested(ctx context.Context, job *pipeline.Job, order schemas.EvalOrder) (schemas.ScoreRow, error) {
	c, err := s.comparison(ctx, job, order)
	if err != nil {
		return schemas.ScoreRow{}, err
	}
	return s.evaluate(ctx, job, c)
}

// comparison is what an order asks for.
func (s *Stage) comparison(ctx context.Context, job *pipeline.Job, order schemas.EvalOrder) (c comparison, err error) {
	if order.Model == "" || order.Data == "" {
		return c, pipeline.Park(errors.New(`an eval.request needs "model" and "data"`))
	}
	if longest := max(len(order.Model), len(order.Data), len(order.Baseline)); longest > maxReference {
		return c, pipeline.Park(fmt.Errorf("a reference of %d bytes names nothing", longest))
	}
	if order.Limit < 0 {
		return c, pipeline.Park(fmt.Errorf("limit is %d, want 0 or more", order.Limit))
	}
	if c.models[candidate], err = s.deps.Models.Resolve(ctx, order.Model); err != nil {
		return c, fmt.Errorf("model %.200q: %w", order.Model, missing(err))
	}
	if c.models[baseline], err = s.deps.Models.Resolve(ctx, order.Baseline); err != nil {
		return c, fmt.Errorf("baseline %.200q: %w", order.Baseline, missing(err))
	}
	if c.data, c.rows, err = s.conversations(ctx, job.Store(), order.Data); err != nil {
		return c, err
	}
	c.generate = s.config.Generate
	if order.Limit > 0 {
		c.generate = min(order.Limit, maxGenerate)
	}
	return c, nil
}

// Bounds of what a request may ask for: it is somebody else's event, and should
// neither hold the device for days nor fill an answer with its own text.
const (
	maxGenerate  = 1000
	maxReference = 4096
)

// post sends data to a reply subject.
func post(job *pipeline.Job, kind schemas.Kind, subject string, data any) error {
	id := job.Event().ID + "/reply" // the score dataset's own event has another
	ev, err := schemas.NewEvent(kind, id, "", job.Now(), data)
	if err != nil {
		return err
	}
	return job.Post(ev, pipeline.To(subject))
}

func notExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
