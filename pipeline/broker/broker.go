package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/glmflow/glmflow/schemas"
)

// timeout is how long an answer of the server may take where the caller's
// context sets no deadline.
const timeout = 15 * time.Second

// ErrConflict reports that a subject's last sequence was not the expected one:
// somebody else wrote first.
var ErrConflict = errors.New("another writer was first")

// ErrDuplicate reports that a batch held an event which the stream had got
// within the last two minutes; nothing of the batch was stored.
var ErrDuplicate = errors.New("the batch repeats a recent event")

// A Broker is a connection to the flow's streams. Its methods may be called from
// several goroutines.
type Broker struct {
	conn *nats.Conn
	js   jetstream.JetStream
	work jetstream.Stream // [Stream]
	log  *slog.Logger
	stop func() error // ends what Start began

	mu      sync.Mutex
	refused error // the last permission error, which the server tells out of band
	at      time.Time
}

// dial connects and checks that the server can do what the flow needs.
func dial(ctx context.Context, url string, log *slog.Logger, opts ...nats.Option) (*Broker, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	b := &Broker{log: log, stop: func() error { return nil }}
	conn, err := nats.Connect(url, append([]nats.Option{
		nats.MaxReconnects(-1),
		nats.ErrorHandler(b.onError),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("lost the broker", "error", err)
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) { log.Info("found the broker again", "url", c.ConnectedUrlRedacted()) }),
	}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to broker: %w", err)
	}
	b.conn = conn
	if b.js, err = jetstream.New(conn, jetstream.WithDefaultTimeout(timeout)); err == nil {
		err = b.checkServer(ctx)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return b, nil
}

// checkServer asks for the API level that brought cron schedules and consumer
// resets, nats-server 2.14.
func (b *Broker) checkServer(ctx context.Context) error {
	const needed = 4
	info, err := b.js.AccountInfo(ctx)
	if err != nil {
		return fmt.Errorf("broker %s: ask for JetStream: %w", b.conn.ConnectedUrlRedacted(), b.explain(err))
	}
	if info.API.Level < needed {
		return fmt.Errorf("broker %s: nats-server %s speaks JetStream API level %d, need %d: use 2.14.2 or newer",
			b.conn.ConnectedUrlRedacted(), b.conn.ConnectedServerVersion(), info.API.Level, needed)
	}
	return nil
}

// Conn returns the connection.
func (b *Broker) Conn() *nats.Conn { return b.conn }

// JetStream returns the JetStream interface of the connection.
func (b *Broker) JetStream() jetstream.JetStream { return b.js }

// Close sends what is buffered, closes the connection and, if [Start] made the
// broker, stops the server and unlocks its directory. It does not wait for a
// broker that is out of reach.
func (b *Broker) Close() error {
	var err error
	if b.conn.IsConnected() {
		err = b.conn.FlushTimeout(timeout)
	}
	if errors.Is(err, nats.ErrConnectionClosed) {
		err = nil
	}
	b.conn.Close()
	return errors.Join(err, b.stop())
}

// A PublishOption changes how [Broker.Publish] works.
type PublishOption func(*Message)

// ExpectLast makes Publish fail with [ErrConflict] unless seq is the last
// sequence of the event's subject; 0 means that the subject must be empty.
func ExpectLast(seq uint64) PublishOption { return func(m *Message) { m.Expect = &seq } }

// Publish stores ev where it belongs and returns its sequence. An event that was
// published less than two minutes ago is not stored again; its first sequence is
// returned.
func (b *Broker) Publish(ctx context.Context, ev schemas.Event, opts ...PublishOption) (uint64, error) {
	m, err := EventMessage(ev)
	if err != nil {
		return 0, err
	}
	for _, o := range opts {
		o(&m)
	}
	seq, err := b.publish(ctx, m)
	if err != nil {
		return 0, fmt.Errorf("publish %s event %s: %w", ev.Type, ev.ID, err)
	}
	return seq, nil
}

func (b *Broker) publish(ctx context.Context, m Message) (uint64, error) {
	if err := b.fits(m); err != nil {
		return 0, err
	}
	ack, err := b.js.PublishMsg(ctx, m.msg())
	if err != nil {
		return 0, b.explain(err)
	}
	return ack.Sequence, nil
}

// Last returns the newest message of subject in [Stream]; ok is false if there is
// none.
func (b *Broker) Last(ctx context.Context, subject string) (body []byte, seq uint64, ok bool, err error) {
	m, ok, err := b.last(ctx, subject)
	if err != nil || !ok {
		return nil, 0, false, err
	}
	return m.Data, m.Sequence, true, nil
}

// last is Last of a subject with wildcards.
func (b *Broker) last(ctx context.Context, subject string) (*jetstream.RawStreamMsg, bool, error) {
	m, err := b.work.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("last message of %s: %w", subject, b.explain(err))
	}
	return m, true, nil
}

// Reply sends ev to a subject that somebody else named. It is not stored.
func (b *Broker) Reply(r Reply) error {
	m, err := EventMessage(r.Event)
	if err != nil {
		return err
	}
	m.Subject, m.ID = r.Subject, ""
	if err := b.conn.PublishMsg(m.msg()); err != nil {
		return fmt.Errorf("reply to %s: %w", r.Subject, err)
	}
	return nil
}

// fits checks m against the server's limit, which it would enforce by closing
// the connection.
func (b *Broker) fits(m Message) error {
	const headers = 1 << 10
	if limit := b.conn.MaxPayload(); int64(len(m.Body)+headers) > limit {
		return fmt.Errorf("%d bytes for %s are more than the broker takes (%d): bulk belongs into the artifact store", len(m.Body), m.Subject, limit)
	}
	return nil
}

// MaxBody is the longest body that the broker takes.
func (b *Broker) MaxBody() int { return int(b.conn.MaxPayload()) - 1<<10 }

// onError hears what the server tells out of band.
func (b *Broker) onError(_ *nats.Conn, sub *nats.Subscription, err error) {
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	b.log.Error("broker error", "error", err, "subject", subject)
	if errors.Is(err, nats.ErrPermissionViolation) || errors.Is(err, nats.ErrAuthorization) {
		b.mu.Lock()
		b.refused, b.at = err, time.Now()
		b.mu.Unlock()
	}
}

// explain turns what the client library says into what happened. A call that the
// server denies looks like a timeout; the denial arrives separately.
func (b *Broker) explain(err error) error {
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api) && api.ErrorCode == 10071:
		return fmt.Errorf("%w: %w", ErrConflict, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		b.mu.Lock()
		refused, at := b.refused, b.at
		b.mu.Unlock()
		if refused != nil && time.Since(at) < 2*timeout {
			return fmt.Errorf("%w: the broker denied it: %w", err, refused)
		}
		return fmt.Errorf("%w: no answer from the broker", err)
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("%w: no stream takes this subject, or the broker has no JetStream", err)
	}
	return err
}

// msg is m in the client library's form.
func (m Message) msg() *nats.Msg {
	msg := nats.NewMsg(m.Subject)
	msg.Data = m.Body
	msg.Header.Set("content-type", contentType)
	if m.ID != "" {
		msg.Header.Set(jetstream.MsgIDHeader, m.ID)
	}
	if m.Expect != nil {
		msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(*m.Expect, 10))
		if m.ExpectOn != "" {
			msg.Header.Set(jetstream.ExpectedLastSubjSeqSubjHeader, m.ExpectOn)
		}
	}
	return msg
}
