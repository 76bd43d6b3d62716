package trigger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/pipeline/window"
	"github.com/glmflow/glmflow/schemas"
)

// settle is how long a threshold lets arriving conversations settle before it
// counts again.
const settle = 2 * time.Second

// A Threshold says when the amount of new data is worth a retraining.
type Threshold struct {
	Model string // whose windows count; required
	Fresh int64  // conversations that no window of the model ever held, before duplicates are dropped; at least 1
}

// A Meter knows how much is fresh, and when that changes. pipeline/ledger is one.
type Meter interface {
	Fresh(ctx context.Context, model string, runs []string) (window.Fresh, error)
	Changed() <-chan struct{}
}

// Watch orders a retraining whenever t is reached, until ctx is cancelled; then
// it returns nil. Several watchers of one threshold order once: the order's id
// follows from the last window that was cut and the number of times the threshold
// was reached since. An order that led to no window, since too much was dropped
// as duplicates, is repeated when as much again has arrived. A nil log discards.
func (t Threshold) Watch(ctx context.Context, b *broker.Broker, meter Meter, log *slog.Logger) error {
	if t.Model == "" || t.Fresh < 1 {
		return errors.New("threshold: it needs a model and at least one fresh conversation")
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ordered := ""
	for {
		changed := meter.Changed()
		ev, due, err := t.order(ctx, meter, time.Now())
		if err == nil && due && ev.ID != ordered {
			if _, err = b.Publish(ctx, ev); err == nil {
				ordered = ev.ID
				log.Info("threshold reached", "run", ev.Run, "model", t.Model, "fresh", t.Fresh)
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			log.Error("threshold is tried again", "model", t.Model, "error", err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
		select {
		case <-time.After(settle):
		case <-ctx.Done():
			return nil
		}
	}
}

// order is the order that is due now, if one is.
func (t Threshold) order(ctx context.Context, meter Meter, now time.Time) (ev schemas.Event, due bool, err error) {
	fresh, err := meter.Fresh(ctx, t.Model, nil)
	if err != nil {
		return ev, false, err
	}
	times := fresh.New() / t.Fresh
	if times == 0 {
		return ev, false, nil
	}
	id := identity("threshold", t.Model, t.Fresh, fresh.Last, times)
	ev, err = request(id, "threshold", now, schemas.TrainOrder{Model: t.Model, Reason: fmt.Sprintf("threshold of %d fresh conversations", t.Fresh)})
	return ev, true, err
}
