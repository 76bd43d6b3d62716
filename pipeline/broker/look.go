package broker

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/nats-io/nats.go/jetstream"
)

// A Queue is what lies before a stage's workers, in all processes.
type Queue struct {
	Waiting uint64 // events that nobody has taken
	Working uint64 // events that were taken and have no outcome yet
	Retried uint64 // of these, events delivered more than once
}

// Queue looks at the durable consumer of a stage; ok is false if the stage has
// never been served.
func (b *Broker) Queue(ctx context.Context, stage string) (q Queue, ok bool, err error) {
	c, err := b.JetStream().Consumer(ctx, Stream, stage)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return Queue{}, false, nil
	}
	if err != nil {
		return Queue{}, false, fmt.Errorf("queue of %s: %w", stage, err)
	}
	info := c.CachedInfo() // just fetched
	return Queue{info.NumPending, uint64(info.NumAckPending), uint64(info.NumRedelivered)}, true, nil
}

// Metrics yields the bodies of the metric stream's messages on subject (which
// may hold wildcards), from the first that is kept, and then each new one until
// ctx is cancelled or the loop ends.
func (b *Broker) Metrics(ctx context.Context, subject string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		c, err := b.JetStream().OrderedConsumer(ctx, MetricStream, jetstream.OrderedConsumerConfig{
			FilterSubjects: []string{subject}, DeliverPolicy: jetstream.DeliverAllPolicy,
		})
		if err != nil {
			yield(nil, fmt.Errorf("metrics: %w", err))
			return
		}
		messages, err := c.Messages()
		if err != nil {
			yield(nil, fmt.Errorf("metrics: %w", err))
			return
		}
		stop := context.AfterFunc(ctx, messages.Stop)
		defer stop()
		defer messages.Stop()
		for {
			m, err := messages.Next()
			if ctx.Err() != nil || errors.Is(err, jetstream.ErrMsgIteratorClosed) {
				return
			}
			if err != nil {
				yield(nil, fmt.Errorf("metrics: %w", err))
				return
			}
			if !yield(m.Data(), nil) {
				return
			}
		}
	}
}
