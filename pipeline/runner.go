package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/broker"
)

// Defaults of [Spec] and [RunnerConfig].
const (
	defaultAttempts = 5
	defaultLease    = 2 * time.Minute
	defaultAckWait  = time.Minute // outlasts a reconnect, during which no heartbeat can be sent
	defaultGrace    = 20 * time.Second
	pullExpiry      = 30 * time.Second
)

// ErrStalled is the cause with which a job is cancelled that gave no sign of life
// for its stage's lease.
var ErrStalled = errors.New("no progress for the whole lease")

// ErrBrokerClosed reports that the runner's broker was closed under it.
var ErrBrokerClosed = errors.New("the broker's connection was closed")

// RunnerConfig configures a [Runner].
type RunnerConfig struct {
	Broker   *broker.Broker
	Store    *artifact.Store
	Stages   []Stage                         // those that work in this process
	Observer Observer                        // hears what happens
	Clock    func() time.Time                // for the times in events and records; nil means time.Now
	Log      *slog.Logger                    // nil discards
	AckWait  time.Duration                   // silence of the process after which a job is delivered elsewhere; 0 means 1 minute
	Backoff  func(attempt int) time.Duration // the pause after the attempt-th error; nil means 1 s, 4 s, 16 s, … up to 2 minutes
	Grace    time.Duration                   // how long to wait for cancelled jobs; 0 means 20 seconds
}

// A Runner brings stages their jobs and keeps the promises of delivery.
type Runner struct {
	cfg   RunnerConfig
	holds map[string]chan struct{} // one place for each exclusive resource

	mu      sync.Mutex
	running map[*delivery]struct{}
}

// NewRunner checks cfg. It starts nothing.
func NewRunner(cfg RunnerConfig) (*Runner, error) {
	if cfg.Broker == nil || cfg.Store == nil {
		return nil, errors.New("a runner needs a broker and an artifact store")
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.AckWait == 0 {
		cfg.AckWait = defaultAckWait
	}
	if cfg.Backoff == nil {
		cfg.Backoff = backoff
	}
	if cfg.Grace == 0 {
		cfg.Grace = defaultGrace
	}
	r := &Runner{cfg: cfg, holds: map[string]chan struct{}{}, running: map[*delivery]struct{}{}}
	for _, s := range cfg.Stages {
		spec := s.Spec()
		if err := checkSpec(spec); err != nil {
			return nil, err
		}
		if spec.Holds != "" {
			r.holds[spec.Holds] = make(chan struct{}, 1)
		}
	}
	return r, nil
}

// backoff is 1 s, 4 s, 16 s, 64 s and then 2 minutes.
func backoff(attempt int) time.Duration {
	return min(time.Second<<(2*min(attempt-1, 5)), 2*time.Minute)
}

// Run works until ctx is cancelled; then it takes no more jobs, cancels those at
// work, gives them back and returns nil. It returns an error if it cannot begin,
// if the broker is closed under it, or if a stage ignores its cancellation.
func (r *Runner) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	stop, err := r.watchCancels()
	if err != nil {
		return err
	}
	defer stop()
	group.Go(func() error { return r.watchBroker(ctx) })
	for _, s := range r.cfg.Stages {
		spec := s.Spec()
		consumer, err := r.cfg.Broker.Consumer(ctx, broker.ConsumerSpec{Name: spec.Name, Kinds: spec.In, AckWait: r.cfg.AckWait})
		if err != nil {
			group.Go(func() error { return fmt.Errorf("stage %s: %w", spec.Name, err) })
			break
		}
		for range max(spec.Workers, 1) {
			group.Go(func() error { return r.work(ctx, s, consumer) })
		}
	}
	return r.wait(ctx, group)
}

// wait returns when all workers have, or a grace after ctx was cancelled.
func (r *Runner) wait(ctx context.Context, group *errgroup.Group) error {
	ended := make(chan error, 1)
	go func() { ended <- group.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(r.cfg.Grace):
		r.mu.Lock()
		defer r.mu.Unlock()
		for d := range r.running {
			return fmt.Errorf("stage %s did not stop within %s of being cancelled (event %s)", d.spec.Name, r.cfg.Grace, d.event.ID)
		}
		return fmt.Errorf("the workers did not stop within %s", r.cfg.Grace)
	}
}

// watchBroker ends the runner when its broker is closed: workers that wait for a
// job would not notice for a while.
func (r *Runner) watchBroker(ctx context.Context) error {
	conn := r.cfg.Broker.Conn()
	closed := conn.StatusChanged(nats.CLOSED)
	defer conn.RemoveStatusListener(closed)
	if conn.IsClosed() {
		return ErrBrokerClosed
	}
	select {
	case <-ctx.Done():
		return nil
	case <-closed:
		return ErrBrokerClosed
	}
}

// watchCancels cancels the running jobs of a run that somebody cancels. Jobs that
// come later are looked up when they start.
func (r *Runner) watchCancels() (stop func(), err error) {
	sub, err := r.cfg.Broker.Conn().Subscribe(broker.AllCancels, func(m *nats.Msg) {
		var c broker.Cancel
		if err := json.Unmarshal(m.Data, &c); err != nil {
			r.cfg.Log.Warn("unreadable cancellation", "subject", m.Subject, "error", err)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for d := range r.running {
			if d.event.Run == c.Run {
				d.cancel(&cancelledRun{c})
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("watch for cancelled runs: %w", err)
	}
	return func() {
		if err := sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			r.cfg.Log.Warn("stop watching for cancelled runs", "error", err)
		}
	}, nil
}

// work takes one job after the other until ctx is cancelled.
func (r *Runner) work(ctx context.Context, stage Stage, consumer jetstream.Consumer) error {
	spec := stage.Spec()
	for ctx.Err() == nil {
		msg, err := next(ctx, consumer)
		switch {
		case err != nil && ctx.Err() == nil:
			r.cfg.Log.Warn("cannot take a job", "stage", spec.Name, "error", err)
			pause(ctx, time.Second)
		case msg != nil:
			r.deliver(ctx, stage, msg)
		}
	}
	return nil
}

// next waits for one message and no more: whatever else were fetched would age
// behind a slow job. It returns nil after a while without one.
func next(ctx context.Context, consumer jetstream.Consumer) (jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, pullExpiry)
	defer cancel()
	batch, err := consumer.Fetch(1, jetstream.FetchContext(ctx))
	if err != nil {
		return nil, err
	}
	for msg := range batch.Messages() {
		return msg, nil
	}
	if err := batch.Error(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	return nil, nil
}

// pause waits for d or for ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
