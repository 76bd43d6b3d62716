package ingest

import (
	"errors"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/schemas"
)

const (
	batchRows  = 256      // rows that are emitted at once
	shardBytes = 64 << 20 // text at which a dataset is closed before it has all its rows
)

// shards is the sink that cuts what is read into datasets.
type shards struct {
	job       *pipeline.Job
	dialogues shard[schemas.Dialogue]
	rejects   shard[schemas.Reject]
	total     int64
}

func newShards(job *pipeline.Job, rows int) *shards {
	return &shards{
		job:       job,
		dialogues: shard[schemas.Dialogue]{job: job, kind: schemas.DialogueRaw, full: rows},
		rejects:   shard[schemas.Reject]{job: job, kind: schemas.DialogueReject, full: rows},
	}
}

func (s *shards) dialogue(d schemas.Dialogue) error {
	if s.total++; s.total%1000 == 0 {
		s.job.Report(pipeline.Progress{Done: s.total, Unit: "conversations", Message: d.Origin.File})
	}
	size := len(d.Tools)
	for _, t := range d.Turns {
		size += len(t.Content)
	}
	return s.dialogues.add(d, size)
}

func (s *shards) reject(r schemas.Reject) error { return s.rejects.add(r, len(r.Sample)) }

func (s *shards) close() error { return errors.Join(s.dialogues.emit(), s.rejects.emit()) }

// A shard collects the rows of the open dataset of one kind.
type shard[T any] struct {
	job   *pipeline.Job
	kind  schemas.Kind
	full  int // rows of a dataset
	batch []T // not emitted yet
	rows  int // in the open dataset
	bytes int
}

// add takes in a row of size bytes of text.
func (s *shard[T]) add(row T, size int) error {
	s.batch = append(s.batch, row)
	s.rows++
	s.bytes += size
	closing := s.rows >= s.full || s.bytes >= shardBytes
	if !closing && len(s.batch) < batchRows {
		return nil
	}
	if err := s.emit(); err != nil || !closing {
		return err
	}
	s.rows, s.bytes = 0, 0
	return s.job.Cut(s.kind, nil)
}

// emit hands on what is collected.
func (s *shard[T]) emit() error {
	if len(s.batch) == 0 {
		return nil
	}
	err := pipeline.Emit(s.job, s.kind, s.batch...)
	clear(s.batch)
	s.batch = s.batch[:0]
	return err
}
