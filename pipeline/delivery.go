package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/schemas"
)

// A delivery is one attempt at one job: a message that was taken and is not
// settled yet.
type delivery struct {
	*Runner
	stage  Stage
	spec   Spec
	msg    jetstream.Msg
	event  schemas.Event
	key    string
	tries  tries
	log    *slog.Logger
	cancel context.CancelCauseFunc // of the running stage
	begun  time.Time
}

// cancelledRun is the cause with which the jobs of a cancelled run end.
type cancelledRun struct{ broker.Cancel }

func (c *cancelledRun) Error() string { return fmt.Sprintf("cancelled by %s: %s", c.Actor, c.Reason) }

// errDied stands for the error that a process which died could not tell.
var errDied = errors.New("the process died at work")

// deliver does what one message asks for, and settles it.
func (r *Runner) deliver(ctx context.Context, stage Stage, msg jetstream.Msg) {
	spec := stage.Spec()
	if spec.Attempts == 0 {
		spec.Attempts = defaultAttempts
	}
	if spec.Lease == 0 {
		spec.Lease = defaultLease
	}
	ev, undecodable := broker.DecodeMsg(msg)
	d := &delivery{Runner: r, stage: stage, spec: spec, msg: msg, event: ev, key: broker.Key(ev), begun: time.Now()}
	d.log = r.cfg.Log.With("run", ev.Run, "stage", spec.Name, "event", ev.ID)

	work, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	d.cancel = cancel
	d.enter()
	defer d.leave()

	// Settling outlives a cancelled ctx: what is done must be handed over.
	settling := context.WithoutCancel(ctx)
	if err := d.begin(settling, undecodable); err != nil {
		d.settle(settling, Handover{}, err)
		return
	}
	handover, err := d.run(work)
	d.settle(settling, handover, verdict(ctx, work, err))
}

// verdict says why a stage returned err: it may only have obeyed.
func verdict(ctx, work context.Context, err error) error {
	if err == nil || IsParked(err) && !errors.Is(err, context.Canceled) {
		return err // what cannot succeed stays so, unless the stage parked its own cancellation
	}
	var run *cancelledRun
	if cause := context.Cause(work); errors.Is(cause, ErrStalled) || errors.As(cause, &run) {
		return cause
	}
	if ctx.Err() != nil {
		return &drained{err}
	}
	return err
}

// errOver is the reason not to run a job that another worker has finished.
var errOver = errors.New("the job has its outcome already")

// drained is the error of a stage that was told to stop.
type drained struct{ error }

// broken is an error of the flow itself, before the stage ran: no attempt.
type broken struct{ error }

// begin looks up what is known of the job and counts the attempt. An error is
// the reason why it must not run.
func (d *delivery) begin(ctx context.Context, undecodable error) error {
	over, err := d.over(ctx)
	if err != nil {
		return &broken{err}
	}
	if over {
		return errOver
	}
	if undecodable != nil {
		return Park(undecodable)
	}
	if c, ok, err := d.cfg.Broker.Cancelled(ctx, d.event.Run); err != nil {
		return &broken{err}
	} else if ok {
		return &cancelledRun{c}
	}
	if d.tries, err = d.loadTries(ctx); err != nil {
		return &broken{err}
	}
	if d.tries.Count >= d.spec.Attempts {
		return Park(fmt.Errorf("given up after %d attempts: %s", d.tries.Count, d.tries.Error))
	}
	d.tries.Count++
	last := d.tries.Error
	d.tries.Error = errDied.Error() // unless settle comes to say otherwise
	if err := d.saveTries(ctx); err != nil {
		d.tries.Count--
		return &broken{err}
	}
	d.log = d.log.With("attempt", d.tries.Count)
	if d.tries.Count > 1 {
		d.log.Info("job is tried again", "after", last)
	}
	return nil
}

// over reports whether the job is done or dead. If a crash came between its
// record and its replies, they are sent now.
func (d *delivery) over(ctx context.Context) (bool, error) {
	done, ok, err := d.cfg.Broker.Outcome(ctx, d.spec.Name, d.key)
	if err != nil || !ok {
		return false, err
	}
	if done != nil {
		d.reply(done.Replies)
	}
	return true, nil
}

// run lets the stage work under the eyes of the watchdog, which may cancel ctx.
func (d *delivery) run(ctx context.Context) (Handover, error) {
	info := d.info()
	metrics := &metrics{broker: d.cfg.Broker, info: info, now: d.cfg.Clock}
	j := newJob(ctx, d.spec, d.event, Options{
		Store: d.cfg.Store, Attempt: d.tries.Count, Clock: d.cfg.Clock, Log: d.cfg.Log,
		Progress: func(p Progress) {
			if d.cfg.Observer.JobProgress != nil {
				d.cfg.Observer.JobProgress(info, p)
			}
			if err := metrics.publish(p); err != nil {
				d.log.Debug("cannot publish a measurement", "error", err)
			}
		},
	})
	stop := d.watch(j)
	defer stop()
	release, err := d.hold(ctx, j)
	if err != nil {
		return Handover{}, err
	}
	defer release()
	d.begun = time.Now()
	if d.cfg.Observer.JobStarted != nil {
		d.cfg.Observer.JobStarted(info)
	}
	return j.do(ctx, d.stage)
}

// hold waits for the stage's exclusive resource.
func (d *delivery) hold(ctx context.Context, j *Job) (release func(), err error) {
	place := d.holds[d.spec.Holds]
	if place == nil {
		return func() {}, nil
	}
	j.waiting.Store(true)
	defer func() { j.touch(); j.waiting.Store(false) }()
	select {
	case place <- struct{}{}:
		return func() { <-place }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// watch tells the broker that the job is at work for as long as it gives signs of
// life, and cancels it when they stop. The broker then delivers it elsewhere.
func (d *delivery) watch(j *Job) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(min(d.cfg.AckWait, d.spec.Lease) / 3)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			if j.idle(time.Now()) > d.spec.Lease {
				d.log.Error("job is stalled", "lease", d.spec.Lease)
				d.cancel(ErrStalled)
				return
			}
			if err := d.msg.InProgress(); err != nil {
				d.log.Warn("cannot renew the lease", "error", err)
			}
		}
	}()
	return func() { close(done); <-ended }
}

func (d *delivery) info() JobInfo { return JobInfo{d.spec.Name, d.event, d.tries.Count} }

func (d *delivery) enter() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running[d] = struct{}{}
}

func (d *delivery) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.running, d)
}
