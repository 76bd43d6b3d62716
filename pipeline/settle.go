package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/schemas"
)

// settle makes an attempt's outcome stand and gives the message back or
// acknowledges it. What fails here leaves the message to be delivered again.
func (d *delivery) settle(ctx context.Context, h Handover, err error) {
	var (
		pause  *drained
		flow   *broken
		cancel *cancelledRun
	)
	if err == nil {
		err = d.commit(ctx, h)
	}
	wait, later := AsLater(err)
	switch {
	case err == nil:
		d.finished(Done, h, nil)
		d.reply(h.Done.Replies)
		d.acknowledge(ctx)
	case errors.Is(err, errOver):
		d.finished(Repeated, Handover{}, nil)
		d.acknowledge(ctx)
	case errors.As(err, &flow):
		d.finished(Retried, Handover{}, err)
		d.again(d.cfg.Backoff(1))
	case errors.As(err, &pause):
		d.uncount(ctx)
		d.finished(Drained, Handover{}, err)
		d.again(0)
	case errors.As(err, &cancel):
		d.bury(ctx, Cancelled, err)
	case IsParked(err):
		d.bury(ctx, Parked, err)
	case later:
		d.uncount(ctx)
		d.finished(Waiting, Handover{}, err)
		d.again(wait)
	case d.tries.Count >= d.spec.Attempts:
		d.bury(ctx, Parked, fmt.Errorf("given up after %d attempts: %w", d.tries.Count, err))
	default:
		d.tries.Error = err.Error()
		if err := d.saveTries(ctx); err != nil {
			d.log.Warn("cannot note an attempt's error", "error", err)
		}
		d.finished(Retried, Handover{}, err)
		d.again(d.cfg.Backoff(d.tries.Count))
	}
}

// commit hands over: the done record, which only the first worker can write, and
// everything else together with it.
func (d *delivery) commit(ctx context.Context, h Handover) error {
	done, err := broker.DoneMessage(h.Done, d.key)
	if err != nil {
		return err
	}
	_, err = d.cfg.Broker.Commit(ctx, append([]broker.Message{done}, h.messages...))
	if err == nil {
		return nil
	}
	// Either another worker was first, or the answer got lost after all was
	// stored, or the hand-over did fail. The record knows.
	if over, lookup := d.over(ctx); lookup == nil && over {
		return errOver
	}
	return err
}

// bury writes the dead letter and ends the deliveries.
func (d *delivery) bury(ctx context.Context, result Result, reason error) {
	letter := broker.Dead{Stage: d.spec.Name, Event: d.event, Reason: reason.Error(), Attempt: d.tries.Count, Time: d.cfg.Clock().UTC()}
	err := d.cfg.Broker.Bury(ctx, letter)
	if errors.Is(err, broker.ErrConflict) {
		d.finished(Repeated, Handover{}, nil)
		d.acknowledge(ctx)
		return
	}
	if err != nil {
		d.log.Error("cannot write a dead letter", "reason", reason, "error", err)
		d.finished(Retried, Handover{}, errors.Join(reason, err))
		d.again(d.cfg.Backoff(1))
		return
	}
	d.finished(result, Handover{}, reason)
	d.dropState(ctx)
	// The server tells this to whoever listens for advisories. If it gets lost,
	// the next delivery finds the dead letter.
	if err := d.msg.TermWithReason(string(result)); err != nil {
		d.log.Warn("cannot end the deliveries of a dead job", "error", err)
	}
}

// acknowledge ends a job that has its outcome. State goes first: nobody would
// come back for it.
func (d *delivery) acknowledge(ctx context.Context) {
	d.dropState(ctx)
	ctx, cancel := context.WithTimeout(ctx, d.cfg.AckWait)
	defer cancel()
	if err := d.msg.DoubleAck(ctx); err != nil {
		d.log.Warn("cannot acknowledge a finished job", "error", err) // the next delivery finds its record
	}
}

// again asks for another delivery after wait.
func (d *delivery) again(wait time.Duration) {
	nak := d.msg.Nak
	if wait > 0 {
		nak = func() error { return d.msg.NakWithDelay(wait) }
	}
	if err := nak(); err != nil {
		d.log.Warn("cannot give a job back", "error", err) // the acknowledgement wait does it
	}
}

// uncount forgets an attempt that was no failure.
func (d *delivery) uncount(ctx context.Context) {
	d.tries.Count, d.tries.Error = d.tries.Count-1, ""
	if err := d.saveTries(ctx); err != nil {
		d.log.Warn("an attempt that was none is counted", "error", err)
	}
}

// reply sends what the job said to others. It reaches them at least once.
func (d *delivery) reply(replies []broker.Reply) {
	for _, r := range replies {
		if err := d.cfg.Broker.Reply(r); err != nil {
			d.log.Warn("cannot reply", "to", r.Subject, "error", err)
		}
	}
}

// finished logs an outcome and tells the observer.
func (d *delivery) finished(result Result, h Handover, err error) {
	out := Outcome{Result: result, Err: err, Duration: time.Since(d.begun), RowsIn: rowsOf(d.event), RowsOut: map[schemas.Kind]int64{}}
	for _, o := range h.Done.Outputs {
		out.RowsOut[o.Kind] += o.Rows
	}
	attrs := []any{"result", result, "duration", out.Duration}
	if err != nil {
		attrs = append(attrs, "error", err)
	}
	var p *Panic
	if errors.As(err, &p) {
		attrs = append(attrs, "stack", p.Stack)
	}
	switch result {
	case Parked, Retried:
		d.log.Error("job failed", attrs...)
	default:
		d.log.Info("job ended", attrs...)
	}
	if d.cfg.Observer.JobFinished != nil {
		d.cfg.Observer.JobFinished(d.info(), out)
	}
}

func rowsOf(ev schemas.Event) int64 {
	var d schemas.Dataset
	if !ev.Type.IsData() || json.Unmarshal(ev.Data, &d) != nil {
		return 0
	}
	return d.Rows
}
