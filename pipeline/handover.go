package pipeline

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/schemas/arrowio"
	"github.com/glmflow/glmflow/schemas/parquetio"
)

// Options are what a job finds around it. The zero value works, but for Store.
type Options struct {
	Store    *artifact.Store
	Attempt  int              // 0 means 1
	Clock    func() time.Time // nil means time.Now
	Log      *slog.Logger     // nil discards
	Progress func(Progress)   // called by [Job.Report]; nil ignores
}

// A Handover is what a job that succeeded hands on, in order: its done record's
// contents, its datasets, and what it posted.
type Handover struct {
	Done   broker.Done
	Data   []schemas.Event // one data event a dataset
	Posted []schemas.Event // further events, those with a subject of their own among them

	messages []broker.Message
}

// Do runs one job of stage without a broker: artifacts go to the store, events
// are returned instead of published. It is what the [Runner] does for each
// delivery, and what tests do. A panic of the stage is an error that holds its
// stack.
func Do(ctx context.Context, stage Stage, ev schemas.Event, opts Options) (Handover, error) {
	j := newJob(ctx, stage.Spec(), ev, opts)
	return j.do(ctx, stage)
}

func newJob(ctx context.Context, spec Spec, ev schemas.Event, o Options) *Job {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	o.Attempt = max(o.Attempt, 1)
	j := &Job{
		ctx: ctx, spec: spec, event: ev, key: broker.Key(ev), attempt: o.Attempt,
		store: o.Store, now: o.Clock, progress: o.Progress, started: o.Clock().UTC(),
		log:  o.Log.With("run", ev.Run, "stage", spec.Name, "event", ev.ID, "attempt", o.Attempt),
		open: map[schemas.Kind]*output{}, cut: map[schemas.Kind]int{},
	}
	j.touch()
	return j
}

// do runs the stage and closes what it left open.
func (j *Job) do(ctx context.Context, stage Stage) (Handover, error) {
	defer j.discard()
	if err := protect(func() error { return stage.Run(ctx, j) }); err != nil {
		return Handover{}, err
	}
	if err := context.Cause(ctx); err != nil {
		return Handover{}, err // a stage that swallowed its cancellation may have stopped half-way
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, kind := range j.spec.Out {
		if j.open[kind] == nil {
			continue
		}
		if err := j.closeOutput(kind); err != nil {
			return Handover{}, err
		}
	}
	j.done = true
	return j.handover()
}

// A Panic is the error of a stage that panicked.
type Panic struct {
	Value any
	Stack string
}

func (p *Panic) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

func protect(run func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &Panic{v, string(debug.Stack())}
		}
	}()
	return run()
}

// discard forgets what was emitted and not closed.
func (j *Job) discard() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, o := range j.open {
		release(o.records)
	}
	clear(j.open)
	j.done = true
}

// closeOutput stores the current dataset of kind and makes its event.
func (j *Job) closeOutput(kind schemas.Kind) error {
	o := j.open[kind]
	delete(j.open, kind)
	defer release(o.records)
	d, err := j.storeOutput(kind, o)
	if err != nil {
		return fmt.Errorf("store %s dataset: %w", kind, err)
	}
	if d.Rows == 0 && !o.explicit {
		return nil
	}
	ev, err := schemas.NewEvent(kind, j.outputID(kind, j.cut[kind]), j.source(), j.Now(), d)
	if err != nil {
		return err
	}
	j.cut[kind]++
	j.data = append(j.data, j.stamped(ev))
	return nil
}

func (j *Job) storeOutput(kind schemas.Kind, o *output) (schemas.Dataset, error) {
	d := schemas.Dataset{Kind: kind, Version: kind.Version(), Meta: o.meta}
	codec, err := parquetio.CodecOf(kind)
	if err != nil {
		return d, err
	}
	var file bytes.Buffer
	if d.Rows, err = codec.WriteRecords(&file, all(o.records), nil); err != nil {
		return d, err
	}
	digest, n, err := j.store.Put(j.ctx, bytes.NewReader(file.Bytes()))
	if err != nil {
		return d, err
	}
	d.Digest, d.Bytes = string(digest), n
	if d.Rows > 0 && n <= inlineBytes {
		d.Inline, err = inline(o.records)
	}
	return d, err
}

// inline encodes records for the event itself, or not at all if they are too long.
func inline(records []arrow.Record) ([]byte, error) {
	var b bytes.Buffer
	if err := arrowio.WriteIPC(&b, records); err != nil {
		return nil, err
	}
	if b.Len() > inlineBytes {
		return nil, nil
	}
	return b.Bytes(), nil
}

func all(records []arrow.Record) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		for _, rec := range records {
			if !yield(rec, nil) {
				return
			}
		}
	}
}

// outputID names an output: the same job names it alike each time it is done.
func (j *Job) outputID(kind schemas.Kind, index int) string {
	h := sha256.New()
	for _, part := range []string{j.spec.Name, j.key, string(kind), strconv.Itoa(index)} {
		io.WriteString(h, part+"\x00")
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (j *Job) source() string { return "/glmflow/" + j.spec.Name }

// stamped fills in what an event inherits from the job that says it.
func (j *Job) stamped(ev schemas.Event) schemas.Event {
	inherit := func(to *string, from string) {
		if *to == "" {
			*to = from
		}
	}
	inherit(&ev.SpecVersion, schemas.SpecVersion)
	inherit(&ev.Source, j.source())
	inherit(&ev.Run, j.event.Run)
	inherit(&ev.Cause, j.event.ID)
	inherit(&ev.Actor, j.event.Actor)
	inherit(&ev.TraceParent, j.event.TraceParent)
	if ev.Time.IsZero() {
		ev.Time = j.Now()
	}
	return ev
}

// A posting is a posted event and what was asked about it.
type posting struct {
	event  schemas.Event
	expect *uint64
	to     string
}

// A PostOption changes how [Job.Post] hands an event over.
type PostOption func(*posting)

// ExpectLast makes the whole hand-over fail unless seq is the last sequence of
// the event's subject: a compare-and-set. The job is then tried again.
func ExpectLast(seq uint64) PostOption { return func(p *posting) { p.expect = &seq } }

// To sends the event to a subject that somebody else named, such as a reply's,
// right after the hand-over; it is sent again if a crash leaves that in doubt.
// Subjects of the flow and of the server itself are refused.
func To(subject string) PostOption { return func(p *posting) { p.to = subject } }

// Post adds a further event to the hand-over. Its kind must be one of the stage's
// outputs, unless it is a reply. An empty ID, Source, Run, Cause, Actor or Time
// is filled in.
func (j *Job) Post(ev schemas.Event, opts ...PostOption) error {
	j.touch()
	j.mu.Lock()
	defer j.mu.Unlock()
	p := posting{event: j.stamped(ev)}
	for _, o := range opts {
		o(&p)
	}
	if p.to == "" {
		if err := j.mayHandOver(ev.Type); err != nil {
			return err
		}
	} else if err := CheckReply(p.to); err != nil {
		return err
	}
	if p.event.ID == "" {
		p.event.ID = j.outputID(ev.Type, len(j.posted))
	}
	if err := p.event.Validate(); err != nil {
		return fmt.Errorf("post %s: %w", ev.Type, err)
	}
	j.posted = append(j.posted, p)
	return nil
}

// CheckReply refuses subjects on which a message would be taken for the flow's
// own or for an order to the server: the subject comes from outside.
func CheckReply(subject string) error {
	if strings.ContainsAny(subject, " \t\r\n*>") || slices.Contains(strings.Split(subject, "."), "") ||
		strings.HasPrefix(subject, "$") || strings.HasPrefix(subject, "glmflow.") || len(subject) > 255 {
		return fmt.Errorf("%.80q is no subject for a reply", subject)
	}
	return nil
}

func (j *Job) mayHandOver(kind schemas.Kind) error {
	if j.done {
		return errors.New("the job is over")
	}
	if !slices.Contains(j.spec.Out, kind) {
		return fmt.Errorf("stage %s does not declare %s among its outputs", j.spec.Name, kind)
	}
	return nil
}

// handover collects the messages of the job's commit.
func (j *Job) handover() (Handover, error) {
	h := Handover{Data: j.data, Done: broker.Done{
		Stage: j.spec.Name, Event: j.event.ID, Source: j.event.Source, Kind: j.event.Type, Run: j.event.Run,
		Attempt: j.attempt, Started: j.started, Finished: j.Now(), Outputs: []broker.Output{}, Note: j.note,
	}}
	for _, ev := range j.data {
		d, err := datasetOf(ev)
		if err != nil {
			return h, err
		}
		h.Done.Outputs = append(h.Done.Outputs, broker.Output{ID: ev.ID, Kind: ev.Type, Digest: d.Digest, Rows: d.Rows})
		m, err := broker.EventMessage(ev)
		if err != nil {
			return h, err
		}
		h.messages = append(h.messages, m)
	}
	for _, p := range j.posted {
		h.Posted = append(h.Posted, p.event)
		if p.to != "" {
			h.Done.Replies = append(h.Done.Replies, broker.Reply{Subject: p.to, Event: p.event})
			continue
		}
		h.Done.Outputs = append(h.Done.Outputs, broker.Output{ID: p.event.ID, Kind: p.event.Type})
		m, err := broker.EventMessage(p.event)
		if err != nil {
			return h, err
		}
		m.Expect = p.expect
		h.messages = append(h.messages, m)
	}
	return h, nil
}
