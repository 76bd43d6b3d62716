package broker

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
)

// MaxBatch is the largest number of messages in one [Broker.Commit]: the
// server's limit.
const MaxBatch = 1000

// Error codes of the server's answer to a batch.
const (
	codeConflict  = 10071 // wrong last sequence
	codeDuplicate = 10201 // a message id was seen before
)

// Commit stores messages in [Stream] together and in order, or none of them, and
// returns the sequence of the last. It returns [ErrConflict] if an expectation
// does not hold. After another error the outcome is unknown: look for a message
// of the batch with [Broker.Last].
func (b *Broker) Commit(ctx context.Context, messages []Message) (uint64, error) {
	switch n := len(messages); {
	case n == 0:
		return 0, errors.New("commit: no messages")
	case n > MaxBatch:
		return 0, fmt.Errorf("commit: %d messages, the broker takes at most %d together", n, MaxBatch)
	}
	for _, m := range messages {
		if err := b.fits(m); err != nil {
			return 0, fmt.Errorf("commit: %w", err)
		}
	}
	seq, err := b.commit(ctx, messages)
	if err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	return seq, nil
}

// commit speaks the atomic batch protocol (ADR-50 of NATS): all messages carry
// the batch's id and their number, and the last one asks for the commit.
func (b *Broker) commit(ctx context.Context, messages []Message) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	id, last := rand.Text(), len(messages)-1
	for i, m := range messages {
		msg := m.msg()
		msg.Header.Set("Nats-Batch-Id", id)
		msg.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
		if i < last {
			if err := b.conn.PublishMsg(msg); err != nil {
				return 0, err
			}
			continue
		}
		msg.Header.Set("Nats-Batch-Commit", "1")
		answer, err := b.conn.RequestMsgWithContext(ctx, msg)
		if err != nil {
			return 0, b.explain(err)
		}
		return parseAck(answer.Data, len(messages))
	}
	panic("unreachable: the last message returns")
}

func parseAck(body []byte, want int) (uint64, error) {
	var ack struct {
		Sequence uint64              `json:"seq"`
		Count    int                 `json:"count"`
		Error    *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(body, &ack); err != nil {
		return 0, fmt.Errorf("read the broker's answer: %w", err)
	}
	switch {
	case ack.Error != nil && ack.Error.ErrorCode == codeConflict:
		return 0, fmt.Errorf("%w: %w", ErrConflict, ack.Error)
	case ack.Error != nil && ack.Error.ErrorCode == codeDuplicate:
		return 0, fmt.Errorf("%w: %w", ErrDuplicate, ack.Error)
	case ack.Error != nil:
		return 0, ack.Error
	case ack.Count != want:
		return 0, fmt.Errorf("the broker stored %d of %d messages", ack.Count, want)
	}
	return ack.Sequence, nil
}
