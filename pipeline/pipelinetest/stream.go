package pipelinetest

import (
	"encoding/json"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/schemas"
)

// Events returns the events of kind that the broker holds, in order.
func Events(t testing.TB, b *broker.Broker, kind schemas.Kind) []schemas.Event {
	t.Helper()
	return messages[schemas.Event](t, b, broker.KindSubject(kind))
}

// Dones returns the done records that the broker holds, in order.
func Dones(t testing.TB, b *broker.Broker) []broker.Done {
	t.Helper()
	return messages[broker.Done](t, b, broker.AllDone)
}

// Deads returns the dead letters that the broker holds, in order.
func Deads(t testing.TB, b *broker.Broker) []broker.Dead {
	t.Helper()
	return messages[broker.Dead](t, b, broker.AllDead)
}

func messages[T any](t testing.TB, b *broker.Broker, subject string) (all []T) {
	t.Helper()
	ctx := t.Context()
	stream, err := b.JetStream().Stream(ctx, broker.Stream)
	if err != nil {
		t.Fatal(err)
	}
	for next := uint64(1); ; {
		m, err := stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(subject))
		if err == jetstream.ErrMsgNotFound {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		var v T
		if err := json.Unmarshal(m.Data, &v); err != nil {
			t.Fatalf("message on %s: %v", m.Subject, err)
		}
		all = append(all, v)
		next = m.Sequence + 1
	}
}
