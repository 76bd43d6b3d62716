package evaluate

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/chatglm/chat"
	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/schemas"
)

// A side is one of the two models of an evaluation.
type side int

const (
	baseline side = iota
	candidate
)

func (s side) String() string { return [...]string{"baseline", "candidate"}[s] }

// An evaluation is what one job measures.
type evaluation struct {
	*Stage
	job           *pipeline.Job
	rows          iter.Seq2[schemas.TokenRow, error]
	picker        picker
	conversations []conversation
	questions     []question
}

// A conversation is what was measured on one row.
type conversation struct {
	id, lang string
	targets  int
	nll      [2]float64 // sum over the targets, nats, by side
}

// measure takes one side's losses and answers.
func (e *evaluation) measure(ctx context.Context, who side, m *chatglm.Model) error {
	if err := e.losses(ctx, who, m); err != nil {
		return fmt.Errorf("%s: %w", who, err)
	}
	if who == baseline {
		e.questions = e.picker.questions()
	}
	if err := e.answer(ctx, who, m); err != nil {
		return fmt.Errorf("%s: %w", who, err)
	}
	return nil
}

// losses scores every row with a target, packed into batches of up to
// BatchTokens. The first side decides which rows there are.
func (e *evaluation) losses(ctx context.Context, who side, m *chatglm.Model) error {
	var batch []chatglm.Sequence
	tokens, done := 0, 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		nll, targets, err := m.Loss(chatglm.Pack(batch))
		if err != nil {
			return fmt.Errorf("loss: %w", err)
		}
		for i := range nll {
			c := &e.conversations[done]
			if math.IsNaN(nll[i]) || math.IsInf(nll[i], 0) {
				err := fmt.Errorf("the loss on conversation %s is not finite", c.id)
				return pipeline.Park(errors.Join(err, m.CheckFinite()))
			}
			c.nll[who], c.targets = nll[i], targets[i]
			done++
		}
		batch, tokens = batch[:0], 0
		e.job.Report(pipeline.Progress{Done: int64(done), Total: e.total(who), Unit: "conversations", Message: "loss of the " + who.String()})
		return ctx.Err()
	}
	seen := 0
	for row, err := range e.rows {
		if err != nil {
			return missing(fmt.Errorf("read conversations: %w", err))
		}
		if err := checkRow(row, e.vocabulary()); err != nil {
			return pipeline.Park(err)
		}
		whole := row
		if n := m.Config().SeqLength; len(row.IDs) > n { // as training cuts it
			row.IDs, row.Labels = row.IDs[:n], row.Labels[:n]
		}
		if targetsOf(row) == 0 {
			continue
		}
		if who == baseline {
			e.conversations = append(e.conversations, conversation{id: row.ID, lang: row.Lang})
			e.picker.offer(whole, e.deps.Encoder, m.Config().SeqLength-1)
		} else if seen >= len(e.conversations) || e.conversations[seen].id != row.ID {
			return fmt.Errorf("read conversations: row %d is not what it was for the baseline", seen)
		}
		seen++
		if len(batch) > 0 && tokens+len(row.IDs) > e.config.BatchTokens {
			if err := flush(); err != nil {
				return err
			}
		}
		batch = append(batch, chatglm.Sequence{IDs: row.IDs, Labels: row.Labels})
		tokens += len(row.IDs)
	}
	return flush()
}

// total is the number of conversations, 0 while it is not known.
func (e *evaluation) total(who side) int64 {
	if who == baseline {
		return 0
	}
	return int64(len(e.conversations))
}

// targetsOf counts the targets of a row; the first position has nothing before
// it to predict it from.
func targetsOf(row schemas.TokenRow) (n int) {
	for _, label := range row.Labels[1:] {
		if label >= 0 {
			n++
		}
	}
	return n
}

// answersAtOnce is how many questions a model answers side by side. The bytes of
// an answer do not depend on it; memory for keys and values does.
const answersAtOnce = 8

// answer lets the model write every question's last answer, greedily.
func (e *evaluation) answer(ctx context.Context, who side, m *chatglm.Model) error {
	special := tokenizer.SpecialsOf(e.deps.Encoder.Pieces())
	options := chatglm.GenerateOptions{MaxNew: e.config.MaxNew, Stop: append(special.Stops(), special.Assistant, special.System)}
	for from := 0; from < len(e.questions); from += answersAtOnce {
		part := e.questions[from:min(from+answersAtOnce, len(e.questions))]
		prompts := make([][]int32, len(part))
		for i, q := range part {
			prompts[i] = q.prompt
		}
		written, err := m.Generate(ctx, prompts, options)
		if err != nil {
			return fmt.Errorf("generate: %w", err)
		}
		for i, a := range written {
			_, part[i].answers[who] = chat.ParseReply(e.deps.Encoder.Decode(a.IDs()))
		}
		e.job.Report(pipeline.Progress{
			Done: int64(from + len(part)), Total: int64(len(e.questions)), Unit: "answers", Message: "answers of the " + who.String(),
		})
	}
	return nil
}
