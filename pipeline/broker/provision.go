package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/glmflow/glmflow/schemas"
)

// streams says what the flow keeps. Everything is kept in files; events refer to
// bulk and are small.
func streams(replicas int) []jetstream.StreamConfig {
	metric := jetstream.StreamConfig{
		Name:        MetricStream,
		Description: "measurements of running jobs",
		Subjects:    []string{AllMetrics},
		MaxAge:      30 * 24 * time.Hour,
		MaxBytes:    1 << 30,
		Discard:     jetstream.DiscardOld,
		Replicas:    replicas,
	}
	if replicas == 1 {
		// A lost measurement hurts nobody, a disk sync for each would.
		metric.PersistMode = jetstream.AsyncPersistMode
	}
	return []jetstream.StreamConfig{
		{
			Name:               Stream,
			Description:        "work and facts: events, done records, dead letters, histories of models",
			Subjects:           []string{AllData, AllEvents, AllDone, AllDead, AllModels, AllCancels},
			Retention:          jetstream.LimitsPolicy, // the consumers' floors make it a queue; what is done stays readable
			Duplicates:         2 * time.Minute,
			Replicas:           replicas,
			AllowAtomicPublish: true,
		},
		metric,
		{
			Name:              ScheduleStream,
			Description:       "message schedules and what they fired",
			Subjects:          []string{AllSchedules, AllFires},
			Replicas:          replicas,
			AllowMsgSchedules: true,
		},
	}
}

// provision makes the streams, or changes them to what this program says.
func (b *Broker) provision(ctx context.Context, replicas int) error {
	for _, cfg := range streams(max(replicas, 1)) {
		if _, err := b.js.CreateOrUpdateStream(ctx, cfg); err != nil {
			return fmt.Errorf("provision stream %s: %w", cfg.Name, b.explain(err))
		}
	}
	work, err := b.js.Stream(ctx, Stream)
	if err != nil {
		return fmt.Errorf("stream %s: %w", Stream, b.explain(err))
	}
	b.work = work
	return nil
}

// ConsumerSpec describes the durable consumer of a stage.
type ConsumerSpec struct {
	Name    string         // the stage's
	Kinds   []schemas.Kind // the events it wants
	AckWait time.Duration  // silence after which an event is delivered again
}

// Consumer makes the durable pull consumer of a stage, or changes it to spec, and
// returns it. Deliveries are not limited here: the runner counts attempts in a
// way that survives the consumer.
func (b *Broker) Consumer(ctx context.Context, spec ConsumerSpec) (jetstream.Consumer, error) {
	cfg := jetstream.ConsumerConfig{
		Durable:       Token(spec.Name),
		Description:   "jobs of stage " + spec.Name,
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       spec.AckWait,
		MaxDeliver:    -1,
		MaxAckPending: 1000,
	}
	for _, k := range spec.Kinds {
		cfg.FilterSubjects = append(cfg.FilterSubjects, KindSubject(k))
	}
	c, err := b.js.CreateOrUpdateConsumer(ctx, Stream, cfg)
	if err != nil {
		return nil, fmt.Errorf("provision consumer %s: %w", cfg.Durable, b.explain(err))
	}
	return c, nil
}

// redeliver returns what a process that died had taken: nobody else can have
// been at work on a store that was closed until now. Finished jobs among it are
// recognised by their done records.
func (b *Broker) redeliver(ctx context.Context) error {
	list := b.work.ListConsumers(ctx)
	var pending []string
	for info := range list.Info() {
		if info.NumAckPending > 0 && info.Config.Durable != "" {
			pending = append(pending, info.Name)
		}
	}
	if err := list.Err(); err != nil {
		return fmt.Errorf("list consumers: %w", b.explain(err))
	}
	for _, name := range pending {
		if _, err := b.work.ResetConsumer(ctx, name); err != nil {
			return fmt.Errorf("reset consumer %s: %w", name, b.explain(err))
		}
	}
	return nil
}
