package tokenize

import (
	"context"
	"errors"
	"strconv"

	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/schemas"
)

const stageName = "tokenize"

// Stage encodes conversations. See the package comment.
type Stage struct {
	c   Config
	enc tokenizer.Encoder
}

// New returns the stage over a vocabulary, which has to be that of the model
// that is trained.
func New(c Config, enc tokenizer.Encoder) (*Stage, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if enc == nil {
		return nil, errors.New("tokenize needs a vocabulary")
	}
	return &Stage{c, enc}, nil
}

// Spec implements [pipeline.Stage].
func (s *Stage) Spec() pipeline.Spec {
	return pipeline.Spec{
		Name: stageName, About: "writes conversations as token ids and labels",
		In:      []schemas.Kind{schemas.DialogueClean},
		Out:     []schemas.Kind{schemas.Tokens, schemas.DialogueReject},
		Workers: 2,
	}
}

// Run implements [pipeline.Stage].
func (s *Stage) Run(ctx context.Context, job *pipeline.Job) error {
	dataset, err := job.Dataset()
	if err != nil {
		return pipeline.Park(err)
	}
	b := batch{job: job, total: dataset.Rows}
	for d, err := range pipeline.Rows[schemas.Dialogue](job) {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		if err := b.add(s.Encode(d)); err != nil {
			return err
		}
	}
	if err := b.flush(); err != nil {
		return err
	}
	if b.rows == 0 {
		job.Note("no conversation has anything to learn from")
		return nil
	}
	return job.Meta(schemas.Tokens, map[string]string{
		"vocab":     s.enc.Digest(),
		"tokens":    strconv.FormatInt(b.tokens, 10),
		"targets":   strconv.FormatInt(b.targets, 10),
		"truncated": strconv.FormatInt(b.truncated, 10),
	})
}

// batchSize is the number of conversations between two reports.
const batchSize = 256

// A batch collects what the job emits, and counts it.
type batch struct {
	job         *pipeline.Job
	done, total int64 // conversations

	kept    []schemas.TokenRow
	dropped []schemas.Reject

	rows, tokens, targets, truncated int64
}

func (b *batch) add(row schemas.TokenRow, reject *schemas.Reject) error {
	b.done++
	if reject != nil {
		b.dropped = append(b.dropped, *reject)
	} else {
		b.kept = append(b.kept, row)
		b.rows++
		b.tokens += int64(len(row.IDs))
		b.targets += int64(row.Targets)
		if row.Truncated {
			b.truncated++
		}
	}
	if b.done%batchSize != 0 {
		return nil
	}
	return b.flush()
}

func (b *batch) flush() error {
	err := errors.Join(
		pipeline.Emit(b.job, schemas.Tokens, b.kept...),
		pipeline.Emit(b.job, schemas.DialogueReject, b.dropped...),
	)
	b.kept, b.dropped = b.kept[:0], b.dropped[:0]
	b.job.Report(pipeline.Progress{Done: b.done, Total: b.total, Unit: "conversations", Values: map[string]float64{"tokens": float64(b.tokens)}})
	return err
}
