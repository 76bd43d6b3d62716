package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Outcome looks up what became of a job: ok if it has an outcome, with the record
// if it is done, without if it is dead.
func (b *Broker) Outcome(ctx context.Context, stage, key string) (done *Done, ok bool, err error) {
	m, ok, err := b.last(ctx, outcomeSubjects(stage, key))
	if err != nil || !ok {
		return nil, false, err
	}
	if strings.HasPrefix(m.Subject, deadRoot) {
		return nil, true, nil
	}
	done = new(Done)
	if err := json.Unmarshal(m.Data, done); err != nil {
		return nil, false, fmt.Errorf("record on %s: %w", m.Subject, err)
	}
	return done, true, nil
}

// Bury writes a dead letter, unless the job has an outcome already: [ErrConflict].
// If the event is too long to be carried along, the letter goes without its data
// and says so.
func (b *Broker) Bury(ctx context.Context, d Dead) error {
	m, err := DeadMessage(d)
	if err == nil && len(m.Body) > b.MaxBody() {
		d.Reason += fmt.Sprintf(" (the event's data of %d bytes is left out)", len(d.Event.Data))
		d.Event.Data = nil
		m, err = DeadMessage(d)
	}
	if err != nil {
		return err
	}
	_, err = b.Commit(ctx, []Message{m})
	return err
}

// Cancel records that a run is cancelled, by whom and why. Cancelling twice is
// harmless.
func (b *Broker) Cancel(ctx context.Context, run, actor, reason string) error {
	body, err := json.Marshal(Cancel{Run: run, Actor: actor, Reason: reason, Time: time.Now().UTC()})
	if err != nil {
		return err
	}
	if _, err := b.publish(ctx, Message{Subject: CancelSubject(run), Body: body}); err != nil {
		return fmt.Errorf("cancel run %s: %w", run, err)
	}
	return nil
}

// Cancelled looks up whether a run was cancelled.
func (b *Broker) Cancelled(ctx context.Context, run string) (c Cancel, ok bool, err error) {
	body, _, ok, err := b.Last(ctx, CancelSubject(run))
	if err != nil || !ok {
		return c, false, err
	}
	if err := json.Unmarshal(body, &c); err != nil {
		return c, false, fmt.Errorf("cancellation of run %s: %w", run, err)
	}
	return c, true, nil
}
