package broker

import (
	"encoding/json"
	"fmt"

	"github.com/glmflow/glmflow/schemas"
)

// A Message is one event or record on its way into [Stream].
type Message struct {
	Subject string
	ID      string  // for deduplication, "" for none
	Expect  *uint64 // the last sequence that Subject must have, nil for any; 0 means none yet
	Body    []byte
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
