package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/schemas/arrowio"
	"github.com/glmflow/glmflow/schemas/parquetio"
)

const (
	batchRows   = 1024     // rows of a record that Records yields
	inlineBytes = 32 << 10 // Arrow IPC up to this size travels inside the event
)

// A Job is one event's worth of work for one stage: what [Stage.Run] may read,
// and what it may say. Its methods may be called from several goroutines, but
// what they emit is ordered by the calls, so one goroutine should emit.
type Job struct {
	ctx      context.Context // of this attempt; the iterators and Emit have no argument for it
	spec     Spec
	event    schemas.Event
	key      string
	attempt  int
	started  time.Time
	store    *artifact.Store
	now      func() time.Time
	log      *slog.Logger
	progress func(Progress)
	alive    atomic.Int64 // Unix nanoseconds of the last sign of life
	waiting  atomic.Bool  // for the stage's exclusive resource

	mu     sync.Mutex
	open   map[schemas.Kind]*output // datasets that are being filled
	cut    map[schemas.Kind]int     // datasets that are closed, by kind
	data   []schemas.Event          // their events, in the order of closing
	posted []posting
	note   string
	done   bool // the outcome is decided; what comes later is a bug
}

// An output is a dataset that is being filled.
type output struct {
	records  []arrow.Record
	meta     map[string]string
	explicit bool // Meta or Cut asked for it, so it exists without rows as well
}

// Event returns the event that started the job.
func (j *Job) Event() schemas.Event { return j.event }

// Attempt counts the deliveries of this job, from 1.
func (j *Job) Attempt() int { return j.attempt }

// Log returns a logger that names the run, the stage, the event and the attempt.
func (j *Job) Log() *slog.Logger { return j.log }

// Store returns the artifact store.
func (j *Job) Store() *artifact.Store { return j.store }

// Now returns the time, for events alone: nothing in an artifact may depend on it.
func (j *Job) Now() time.Time { return j.now().UTC() }

// Report says how far the job is. It renews the lease, and reaches the observer,
// the metric stream and with them the progress bars and the live loss curve.
func (j *Job) Report(p Progress) {
	j.touch()
	j.progress(p)
}

// Note leaves a sentence for people in the done record: why a job that succeeded
// handed nothing on. The last one stays.
func (j *Job) Note(text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.note = text
}

// touch renews the lease.
func (j *Job) touch() { j.alive.Store(time.Now().UnixNano()) }

// Dataset returns the reference that a data event carries.
func (j *Job) Dataset() (schemas.Dataset, error) { return datasetOf(j.event) }

func datasetOf(ev schemas.Event) (schemas.Dataset, error) {
	var d schemas.Dataset
	if !ev.Type.IsData() {
		return d, fmt.Errorf("a %s event refers to no dataset", ev.Type)
	}
	if err := ev.Decode(&d); err != nil {
		return d, err
	}
	if d.Kind != ev.Type || d.Version < 1 || d.Version > d.Kind.Version() {
		return d, fmt.Errorf("event %s of kind %s refers to %q version %d; this program reads versions 1 to %d", ev.ID, ev.Type, d.Kind, d.Version, ev.Type.Version())
	}
	return d, nil
}

// Records yields the rows of the event's dataset, a batch at a time. A batch is
// released after the loop step it was yielded to. Every step renews the lease.
func (j *Job) Records() iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		d, err := j.Dataset()
		if err != nil {
			yield(nil, Park(err))
			return
		}
		for rec, err := range Records(j.ctx, j.store, d) {
			j.touch()
			if err == nil {
				err = context.Cause(j.ctx)
			}
			if !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

// Records yields the rows of any dataset, a batch at a time, from the reference
// itself or from the store. A batch is released after the loop step it was
// yielded to.
func Records(ctx context.Context, store *artifact.Store, d schemas.Dataset) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		if len(d.Inline) > 0 {
			yieldInline(d, yield)
			return
		}
		if d.Rows == 0 {
			return
		}
		codec, err := parquetio.CodecOf(d.Kind)
		if err != nil {
			yield(nil, err)
			return
		}
		r, size, closer, err := store.ReaderAt(ctx, artifact.Digest(d.Digest))
		if err != nil {
			yield(nil, fmt.Errorf("%s dataset: %w", d.Kind, err))
			return
		}
		defer closer.Close()
		for rec, err := range codec.ReadRecords(r, size, batchRows) {
			if err != nil {
				err = fmt.Errorf("%s dataset %s: %w", d.Kind, d.Digest, err)
			}
			if !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

func yieldInline(d schemas.Dataset, yield func(arrow.Record, error) bool) {
	records, err := arrowio.ReadIPC(bytes.NewReader(d.Inline), int64(len(d.Inline)))
	if err != nil {
		yield(nil, Park(fmt.Errorf("%s dataset inline: %w", d.Kind, err))) // an event never changes
		return
	}
	defer release(records)
	for _, rec := range records {
		if !yield(rec, nil) {
			return
		}
	}
}

func release(records []arrow.Record) {
	for _, rec := range records {
		rec.Release()
	}
}

// Rows yields the rows of the job's dataset. Every batch renews the lease.
func Rows[T any](j *Job) iter.Seq2[T, error] { return decoded[T](j.Records()) }

// RowsOf yields the rows of any dataset.
func RowsOf[T any](ctx context.Context, store *artifact.Store, d schemas.Dataset) iter.Seq2[T, error] {
	return decoded[T](Records(ctx, store, d))
}

func decoded[T any](records iter.Seq2[arrow.Record, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for rec, err := range records {
			if err != nil {
				yield(none, err)
				return
			}
			rows, err := arrowio.Decode[T](rec)
			if err != nil {
				yield(none, Park(err))
				return
			}
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
		}
	}
}

// Emit appends rows to the current output dataset of kind.
func Emit[T any](j *Job, kind schemas.Kind, rows ...T) error {
	for len(rows) > 0 {
		n := min(len(rows), batchRows)
		rec, err := arrowio.Encode(memory.DefaultAllocator, rows[:n])
		if err != nil {
			return fmt.Errorf("emit %s: %w", kind, err)
		}
		err = j.Emit(kind, rec)
		rec.Release()
		if err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// Emit appends rec to the current output dataset of kind, which must be one of
// the stage's outputs. The job keeps its own reference. Nothing becomes visible
// before Run has returned nil.
func (j *Job) Emit(kind schemas.Kind, rec arrow.Record) error {
	j.touch()
	j.mu.Lock()
	defer j.mu.Unlock()
	o, err := j.output(kind)
	if err != nil {
		return err
	}
	codec, err := parquetio.CodecOf(kind)
	if err != nil {
		return err
	}
	if !codec.Schema().Equal(rec.Schema()) {
		return fmt.Errorf("emit %s: the record has the schema %s", kind, rec.Schema())
	}
	rec.Retain()
	o.records = append(o.records, rec)
	return nil
}

// Meta merges small facts into the current output dataset of kind. A dataset that
// was given some is handed over even if it stays without rows.
func (j *Job) Meta(kind schemas.Kind, meta map[string]string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	o, err := j.output(kind)
	if err != nil {
		return err
	}
	maps.Copy(o.meta, meta)
	o.explicit = true
	return nil
}

// Cut closes the current output dataset of kind and stores it, with meta as well;
// the next Emit begins another one. Emitted rows are held in memory until then.
func (j *Job) Cut(kind schemas.Kind, meta map[string]string) error {
	j.touch()
	j.mu.Lock()
	defer j.mu.Unlock()
	o, err := j.output(kind)
	if err != nil {
		return err
	}
	maps.Copy(o.meta, meta)
	o.explicit = true
	return j.closeOutput(kind)
}

// output returns the current dataset of kind and begins one where there is none.
func (j *Job) output(kind schemas.Kind) (*output, error) {
	if err := j.mayHandOver(kind); err != nil {
		return nil, err
	}
	if !kind.IsData() {
		return nil, fmt.Errorf("%s is no data kind: use Post", kind)
	}
	o := j.open[kind]
	if o == nil {
		o = &output{meta: map[string]string{}}
		j.open[kind] = o
	}
	return o, nil
}

// idle is how long the job has given no sign of life. Waiting for its turn needs
// none.
func (j *Job) idle(now time.Time) time.Duration {
	if j.waiting.Load() {
		return 0
	}
	return now.Sub(time.Unix(0, j.alive.Load()))
}
