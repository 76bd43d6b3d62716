package broker

import (
	"encoding/json"
	"fmt"

	"github.com/glmflow/glmflow/schemas"
)

// contentType is that of structured CloudEvents; records use it as well, since
// nobody asks.
const contentType = "application/cloudevents+json"

// A Message is one event or record on its way into [Stream].
type Message struct {
	Subject  string
	ID       string  // for deduplication, "" for none
	Expect   *uint64 // the last sequence that ExpectOn must have, nil for any; 0 means none yet
	ExpectOn string  // a subject, with wildcards if need be; "" is Subject
	Body     []byte
}

// MessageID is the deduplication id of ev: unique with the source.
func MessageID(ev schemas.Event) string { return ev.Source + " " + ev.ID }

// EventMessage is ev on its way to the subject where it belongs.
func EventMessage(ev schemas.Event) (Message, error) {
	if err := ev.Validate(); err != nil {
		return Message{}, fmt.Errorf("event: %w", err)
	}
	body, err := json.Marshal(ev)
	if err != nil {
		return Message{}, fmt.Errorf("encode %s event %s: %w", ev.Type, ev.ID, err)
	}
	return Message{Subject: SubjectOf(ev), ID: MessageID(ev), Body: body}, nil
}

// DoneMessage is the record of a finished job. It is refused where the job is
// done or dead already, and with it the batch that it stands in.
func DoneMessage(d Done, key string) (Message, error) {
	return outcome(DoneSubject(d.Stage, key), d.Stage, key, d)
}

// DeadMessage is the record of a job that came to nothing, refused like
// [DoneMessage].
func DeadMessage(d Dead) (Message, error) {
	key := Key(d.Event)
	return outcome(DeadSubject(d.Stage, key), d.Stage, key, d)
}

func outcome(subject, stage, key string, record any) (Message, error) {
	body, err := json.Marshal(record)
	if err != nil {
		return Message{}, fmt.Errorf("encode %s: %w", subject, err)
	}
	return Message{Subject: subject, Expect: new(uint64), ExpectOn: outcomeSubjects(stage, key), Body: body}, nil
}
