package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// SpecVersion is the CloudEvents version that every event carries.
const SpecVersion = "1.0"

// An Event is one message of the flow: a CloudEvents 1.0 envelope in structured
// JSON (https://github.com/cloudevents/spec, NATS protocol binding §3.2).
// Run and Cause are extension attributes; others read the rest without us.
type Event struct {
	SpecVersion     string          `json:"specversion"`               // always "1.0"
	ID              string          `json:"id"`                        // unique with Source; the idempotency key of the job it starts
	Source          string          `json:"source"`                    // who said it: "/glmflow/clean", "/console", a URI of somebody else's
	Type            Kind            `json:"type"`                      // the kind
	Subject         string          `json:"subject,omitempty"`         // what it is about: a model's name for model.alias
	Time            time.Time       `json:"time"`                      // when it was said, UTC
	DataContentType string          `json:"datacontenttype,omitempty"` // "application/json"
	DataSchema      string          `json:"dataschema,omitempty"`      // "glmflow:tokens/1"
	Run             string          `json:"run,omitempty"`             // the run it belongs to
	Cause           string          `json:"cause,omitempty"`           // ID of the event whose job said this
	Actor           string          `json:"actor,omitempty"`           // the person or schedule at the root of it
	TraceParent     string          `json:"traceparent,omitempty"`     // W3C trace context
	Data            json.RawMessage `json:"data,omitempty"`
}

// NewEvent builds an event of kind k with data encoded as JSON. The caller sets
// Run, Cause and Actor.
func NewEvent(k Kind, id, source string, at time.Time, data any) (Event, error) {
	body, err := json.Marshal(data)
	if err != nil {
		return Event{}, fmt.Errorf("encode %s event: %w", k, err)
	}
	return Event{
		SpecVersion: SpecVersion, ID: id, Source: source, Type: k, Time: at.UTC(),
		DataContentType: "application/json",
		DataSchema:      fmt.Sprintf("glmflow:%s/%d", k, k.Version()),
		Data:            body,
	}, nil
}

// Validate reports what the CloudEvents specification asks for and e lacks.
func (e Event) Validate() error {
	var missing []error
	if e.SpecVersion != SpecVersion {
		missing = append(missing, fmt.Errorf("specversion is %q, want %q", e.SpecVersion, SpecVersion))
	}
	for _, f := range []struct{ name, value string }{{"id", e.ID}, {"source", e.Source}, {"type", string(e.Type)}} {
		if f.value == "" {
			missing = append(missing, fmt.Errorf("%s is missing", f.name))
		}
	}
	return errors.Join(missing...)
}

// Decode reads the event's data into v, a pointer to the struct of its kind.
func (e Event) Decode(v any) error {
	if err := json.Unmarshal(e.Data, v); err != nil {
		return fmt.Errorf("data of %s event %s: %w", e.Type, e.ID, err)
	}
	return nil
}

// A Dataset is the reference that a data event carries: which rows, and where
// they lie. The same rows always have the same digest.
type Dataset struct {
	Kind    Kind              `json:"kind"`
	Version int               `json:"version"`
	Digest  string            `json:"digest"` // "sha256:<hex>" of the Parquet file in the artifact store
	Rows    int64             `json:"rows"`
	Bytes   int64             `json:"bytes"`
	Meta    map[string]string `json:"meta,omitempty"`   // small facts beside the rows: "vocab", "rule counts"
	Inline  []byte            `json:"inline,omitempty"` // the same rows as an Arrow IPC stream, when small
}
