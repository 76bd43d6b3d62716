package trigger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/schemas"
)

// source is the source of the events that this package says.
const source = "/glmflow/trigger"

// A Bridge turns firings of schedules into train.request events. Several may
// run at once; each firing becomes one order all the same, because the order's
// id follows from where the firing lies in its stream.
type Bridge struct {
	broker *broker.Broker
	log    *slog.Logger
}

// NewBridge returns a Bridge of b. A nil log discards.
func NewBridge(b *broker.Broker, log *slog.Logger) *Bridge {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Bridge{b, log}
}

// Run works until ctx is cancelled, then returns nil.
func (b *Bridge) Run(ctx context.Context) error {
	consumer, err := b.broker.JetStream().CreateOrUpdateConsumer(ctx, broker.ScheduleStream, jetstream.ConsumerConfig{
		Durable:       "bridge",
		Description:   "turns firings of schedules into train.request",
		FilterSubject: broker.AllFires,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       30 * time.Second,
	})
	if err != nil {
		return fmt.Errorf("schedule bridge: %w", err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(1))
	if err != nil {
		return fmt.Errorf("schedule bridge: %w", err)
	}
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	defer messages.Stop()
	for {
		m, err := messages.Next()
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, jetstream.ErrNoHeartbeat) {
			b.log.Warn("schedule bridge does not hear the broker", "error", err)
			continue
		}
		if err != nil {
			return fmt.Errorf("schedule bridge: %w", err)
		}
		if err := b.pass(ctx, m); err != nil {
			b.log.Error("firing waits to be tried again", "subject", m.Subject(), "error", err)
			if err := m.NakWithDelay(time.Second); err != nil {
				b.log.Warn("firing is tried again later", "subject", m.Subject(), "error", err)
			}
		}
	}
}

// pass publishes the order of one firing and acknowledges it, in that order: a
// crash in between repeats the order under its old id.
func (b *Bridge) pass(ctx context.Context, m jetstream.Msg) error {
	ev, err := orderOf(m)
	if err != nil {
		b.log.Error("firing is no order", "subject", m.Subject(), "error", err)
		return m.TermWithReason(err.Error())
	}
	seq, err := b.broker.Publish(ctx, ev)
	if err != nil {
		return err
	}
	b.log.Info("schedule fired", "run", ev.Run, "event", ev.ID, "actor", ev.Actor, "sequence", seq)
	return m.Ack()
}

// orderOf is the train.request that a firing asks for.
func orderOf(m jetstream.Msg) (schemas.Event, error) {
	meta, err := m.Metadata()
	if err != nil {
		return schemas.Event{}, err
	}
	var s Schedule
	if err := json.Unmarshal(m.Data(), &s); err != nil {
		return schemas.Event{}, fmt.Errorf("firing on %s: %w", m.Subject(), err)
	}
	// The time tells firings apart if the stream was ever made anew and its
	// sequences began again.
	id := identity(m.Subject(), meta.Sequence.Stream, meta.Timestamp.UnixNano())
	return request(id, "schedule "+s.Name, meta.Timestamp, s.order())
}

// request is the event that begins a run of its own.
func request(id, actor string, at time.Time, order schemas.TrainOrder) (schemas.Event, error) {
	ev, err := schemas.NewEvent(schemas.TrainRequest, id, source, at, order)
	ev.Run, ev.Actor = id, actor
	return ev, err
}

// identity makes an id of what identifies an order.
func identity(parts ...any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", parts))
	return hex.EncodeToString(sum[:16])
}
