package broker

import (
	"time"

	"github.com/glmflow/glmflow/schemas"
)

// A Done is the record of a finished job: the body of glmflow.done.<stage>.<key>.
// It stands in the same atomic batch as the outputs that it lists.
type Done struct {
	Stage    string       `json:"stage"`
	Event    string       `json:"event"`  // id of the event that started the job
	Source   string       `json:"source"` // that event's source
	Kind     schemas.Kind `json:"kind"`   // that event's kind
	Run      string       `json:"run"`
	Attempt  int          `json:"attempt"` // the one that succeeded
	Outputs  []Output     `json:"outputs"`
	Note     string       `json:"note,omitempty"`    // a sentence for people: why a job that succeeded made nothing
	Replies  []Reply      `json:"replies,omitempty"` // sent after the record; kept so that a crash in between loses none
	Started  time.Time    `json:"started"`
	Finished time.Time    `json:"finished"`
}

// An Output is one event that a job handed over.
type Output struct {
	ID     string       `json:"id"`
	Kind   schemas.Kind `json:"kind"`
	Digest string       `json:"digest,omitempty"` // of data events
	Rows   int64        `json:"rows,omitempty"`   // of data events
}

// A Reply is an event for a subject that somebody else named.
type Reply struct {
	Subject string        `json:"subject"`
	Event   schemas.Event `json:"event"`
}

// A Dead is a dead letter: the body of glmflow.dead.<stage>.<key>.
type Dead struct {
	Stage   string        `json:"stage"`
	Event   schemas.Event `json:"event"` // whole, so that it can be sent again
	Reason  string        `json:"reason"`
	Attempt int           `json:"attempt"` // how many times it was tried
	Time    time.Time     `json:"time"`
}

// A Cancel is the cancellation of a run: the body of glmflow.cancel.<run>. Jobs
// of the run stop and are parked, and so is whatever they have already handed on.
type Cancel struct {
	Run    string    `json:"run"`
	Actor  string    `json:"actor"`
	Reason string    `json:"reason"`
	Time   time.Time `json:"time"`
}
