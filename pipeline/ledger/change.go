package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/schemas"
)

// Promote makes a version production, and what was production previous. It fails
// if the gate refused the version, or if somebody else changed the model in the
// meantime. Actor and reason stay in the history; both are needed.
func (l *Ledger) Promote(ctx context.Context, name string, version int64, actor, reason string, at time.Time) (schemas.AliasChange, error) {
	return l.change(ctx, name, actor, reason, at, func(m Model) (schemas.AliasChange, error) {
		r, ok := m.Version(version)
		switch {
		case !ok:
			return schemas.AliasChange{}, fmt.Errorf("it has no version %d: %w", version, ErrNotFound)
		case !r.Passed:
			return schemas.AliasChange{}, fmt.Errorf("the gate refused version %d (%q)", version, r.Failed)
		case m.Aliases[schemas.AliasProduction] == version:
			return schemas.AliasChange{}, fmt.Errorf("version %d is production already", version)
		}
		return schemas.AliasChange{Action: "promote", Version: version, Aliases: Promotion(m, version)}, nil
	})
}

// Rollback makes the previous version production again, and the other way round.
func (l *Ledger) Rollback(ctx context.Context, name, actor, reason string, at time.Time) (schemas.AliasChange, error) {
	return l.change(ctx, name, actor, reason, at, func(m Model) (schemas.AliasChange, error) {
		previous := m.Aliases[schemas.AliasPrevious]
		if previous == 0 {
			return schemas.AliasChange{}, errors.New("there is no previous version to go back to")
		}
		return schemas.AliasChange{Action: "rollback", Version: previous, Aliases: Promotion(m, previous)}, nil
	})
}

// Promotion says how the aliases change when version becomes production.
func Promotion(m Model, version int64) map[string]int64 {
	aliases := map[string]int64{schemas.AliasProduction: version}
	if old := m.Aliases[schemas.AliasProduction]; old != 0 && old != version {
		aliases[schemas.AliasPrevious] = old
	}
	return aliases
}

// change appends what decide makes of the model to its history, unless the
// history has grown since it was read.
func (l *Ledger) change(ctx context.Context, name, actor, reason string, at time.Time, decide func(Model) (schemas.AliasChange, error)) (schemas.AliasChange, error) {
	var none schemas.AliasChange
	if actor == "" || reason == "" {
		return none, fmt.Errorf("model %s: say who changes it and why", name)
	}
	m, err := l.Current(ctx, name)
	if err != nil {
		return none, err
	}
	if m.Seq == 0 {
		return none, fmt.Errorf("model %s: nothing was published under this name: %w", name, ErrNotFound)
	}
	c, err := decide(m)
	if err != nil {
		return none, fmt.Errorf("model %s: %w", name, err)
	}
	c.Actor, c.Reason = actor, reason
	// The id follows from the state that is changed, so that a repeated call
	// whose first answer got lost is the same event.
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%s\x00%d\x00%s\x00%s", name, m.Seq, c.Action, c.Version, actor, reason))
	id := hex.EncodeToString(sum[:16])
	ev, err := schemas.NewEvent(schemas.ModelAlias, id, "/glmflow/ledger", at, c)
	if err != nil {
		return none, err
	}
	ev.Subject, ev.Actor, ev.Run = name, actor, id
	seq, err := l.broker.Publish(ctx, ev, broker.ExpectLast(m.Seq))
	if errors.Is(err, broker.ErrConflict) {
		return none, fmt.Errorf("model %s changed in the meantime: look again before you %s: %w", name, c.Action, err)
	}
	if err != nil {
		return none, err
	}
	return c, l.reach(ctx, seq)
}
