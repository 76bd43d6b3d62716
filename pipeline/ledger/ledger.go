package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/schemas"
)

// A Ledger is the live read model of the stream. Its methods may be called from
// several goroutines; what they return is the caller's own.
type Ledger struct {
	broker  *broker.Broker
	stream  jetstream.Stream
	log     *slog.Logger
	reading jetstream.ConsumeContext

	mu      sync.Mutex
	view    *view
	changed chan struct{} // closed at the next change
}

// Open reads the whole stream and goes on reading what comes. Specs are those of
// all stages of the flow, wherever they run, in the order of the flow. A nil log
// discards.
func Open(ctx context.Context, b *broker.Broker, specs []pipeline.Spec, log *slog.Logger) (*Ledger, error) {
	if len(specs) == 0 {
		return nil, errors.New("ledger: no stages are given: it could not tell when a run is settled")
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	l := &Ledger{broker: b, log: log, view: newView(specs), changed: make(chan struct{})}
	var err error
	if l.stream, err = b.JetStream().Stream(ctx, broker.Stream); err != nil {
		return nil, fmt.Errorf("ledger: stream %s: %w", broker.Stream, err)
	}
	consumer, err := l.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return nil, fmt.Errorf("ledger: read stream %s: %w", broker.Stream, err)
	}
	l.reading, err = consumer.Consume(l.read, jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		log.Warn("ledger lost the stream for a moment", "error", err)
	}))
	if err != nil {
		return nil, fmt.Errorf("ledger: read stream %s: %w", broker.Stream, err)
	}
	if err := l.Sync(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close stops reading.
func (l *Ledger) Close() error {
	l.reading.Stop()
	<-l.reading.Closed()
	return nil
}

// read folds one message. An ordered consumer delivers each once and in order.
func (l *Ledger) read(m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		l.log.Error("message without metadata", "subject", m.Subject(), "error", err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if meta.Sequence.Stream <= l.view.applied {
		return
	}
	if err := l.view.apply(m.Subject(), m.Headers(), m.Data(), meta.Sequence.Stream, meta.Timestamp); err != nil {
		l.log.Warn("ledger passes over a message", "subject", m.Subject(), "sequence", meta.Sequence.Stream, "error", err)
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// Changed returns a channel that is closed when something changes. Ask for it
// before you look, so that no change falls in between.
func (l *Ledger) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// Sync waits until everything that was stored before the call is in the ledger.
func (l *Ledger) Sync(ctx context.Context) error {
	info, err := l.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("ledger: stream %s: %w", broker.Stream, err)
	}
	if info.State.Msgs == 0 {
		return nil
	}
	return l.reach(ctx, info.State.LastSeq)
}

// reach waits until the message of that sequence is in the ledger.
func (l *Ledger) reach(ctx context.Context, seq uint64) error {
	for {
		l.mu.Lock()
		applied, changed := l.view.applied, l.changed
		l.mu.Unlock()
		if applied >= seq {
			return nil
		}
		select {
		case <-changed:
		case <-l.reading.Closed():
			return errors.New("ledger: closed")
		case <-ctx.Done():
			return fmt.Errorf("ledger: reading message %d of %d: %w", applied, seq, context.Cause(ctx))
		}
	}
}

// Runs returns all runs, newest first.
func (l *Ledger) Runs() []Run {
	l.mu.Lock()
	defer l.mu.Unlock()
	runs := make([]Run, 0, len(l.view.order))
	for _, id := range slices.Backward(l.view.order) {
		runs = append(runs, l.view.runs[id].clone())
	}
	return runs
}

// Run returns one run.
func (l *Ledger) Run(id string) (Run, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.view.runs[id]
	if !ok {
		return Run{}, false
	}
	return r.clone(), true
}

// Wait returns the run as soon as until says yes to it. A run that does not exist
// yet is waited for.
func (l *Ledger) Wait(ctx context.Context, id string, until func(Run) bool) (Run, error) {
	for {
		changed := l.Changed()
		r, ok := l.Run(id)
		if ok && until(r) {
			return r, nil
		}
		select {
		case <-changed:
		case <-l.reading.Closed():
			return r, errors.New("ledger: closed")
		case <-ctx.Done():
			return r, fmt.Errorf("wait for run %s: %w", id, context.Cause(ctx))
		}
	}
}

// Models returns all models by name.
func (l *Ledger) Models() []Model {
	l.mu.Lock()
	defer l.mu.Unlock()
	var models []Model
	for _, name := range slices.Sorted(maps.Keys(l.view.models)) {
		models = append(models, l.view.models[name].clone())
	}
	return models
}

// Model returns one model; one without history has no versions.
func (l *Ledger) Model(name string) Model {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.view.models[name]; m != nil {
		return m.clone()
	}
	return Model{Name: name, Aliases: map[string]int64{}}
}

// Current is [Ledger.Model] after a [Ledger.Sync].
func (l *Ledger) Current(ctx context.Context, name string) (Model, error) {
	if err := l.Sync(ctx); err != nil {
		return Model{}, err
	}
	return l.Model(name), nil
}

// Resolve finds a version by name@alias, name:version, or the digest of its
// files, adapter or signed manifest. It returns [ErrNotFound] if there is none.
func (l *Ledger) Resolve(ref string) (schemas.ReleaseRow, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.view.resolve(ref)
}

// Events reads a run's events back from the stream, in order: what the ledger
// does not keep, such as the facts beside every dataset.
func (l *Ledger) Events(ctx context.Context, id string) iter.Seq2[schemas.Event, error] {
	return func(yield func(schemas.Event, error) bool) {
		r, ok := l.Run(id)
		if !ok {
			yield(schemas.Event{}, fmt.Errorf("run %s: %w", id, ErrNotFound))
			return
		}
		for seq := r.First; seq <= r.Last; seq++ {
			m, err := l.stream.GetMsg(ctx, seq)
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				continue
			}
			if err != nil {
				yield(schemas.Event{}, fmt.Errorf("message %d of run %s: %w", seq, id, err))
				return
			}
			ev, err := broker.Decode(m.Subject, m.Header, m.Data, seq, m.Time)
			if err != nil || ev.Run != id {
				continue // a record, or another run's
			}
			if !yield(ev, nil) {
				return
			}
		}
	}
}
