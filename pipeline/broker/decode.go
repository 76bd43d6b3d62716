package broker

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/glmflow/glmflow/schemas"
)

// foreign is the source of events whose sender named none.
const foreign = "/nats"

// DecodeMsg is [Decode] of a message as a consumer delivers it.
func DecodeMsg(m jetstream.Msg) (schemas.Event, error) {
	meta, err := m.Metadata()
	if err != nil {
		return schemas.Event{}, fmt.Errorf("message on %s: %w", m.Subject(), err)
	}
	return Decode(m.Subject(), m.Headers(), m.Data(), meta.Sequence.Stream, meta.Timestamp)
}

// Decode reads the event in a message of [Stream]: a CloudEvent in structured
// JSON, a CloudEvent in binary form (attributes in ce- headers, data in the
// body), or bare JSON data. What the sender left out is filled in: the type from
// the subject, the id from the stream sequence, the time from the stream, and the
// run from the event's [Key]. On an error the event is what can be said about it
// at all, good enough for a dead letter.
func Decode(subject string, header nats.Header, body []byte, seq uint64, at time.Time) (schemas.Event, error) {
	kind := kindOf(subject)
	ev, err := parse(header, body)
	if err == nil {
		complete(&ev, kind, seq, at)
		err = check(ev, kind)
	}
	if err != nil {
		ev = schemas.Event{Data: quoted(body)}
		complete(&ev, kind, seq, at)
		return ev, fmt.Errorf("message %d on %s: %w", seq, subject, err)
	}
	return ev, nil
}

func parse(header nats.Header, body []byte) (schemas.Event, error) {
	attrs := map[string]string{}
	for name, values := range header {
		if len(values) > 0 {
			attrs[strings.ToLower(name)] = values[0]
		}
	}
	if attrs["ce-specversion"] != "" || attrs["ce-type"] != "" || attrs["ce-id"] != "" {
		return parseBinary(attrs, body)
	}
	var structured struct {
		schemas.Event
		Base64 []byte `json:"data_base64"`
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil {
		return schemas.Event{}, fmt.Errorf("neither a CloudEvent nor a JSON object: %w", err)
	}
	if object["specversion"] == nil && !strings.HasPrefix(attrs["content-type"], contentType) {
		return schemas.Event{Data: body}, nil
	}
	if err := json.Unmarshal(body, &structured); err != nil {
		return schemas.Event{}, fmt.Errorf("structured CloudEvent: %w", err)
	}
	if structured.Base64 != nil {
		if !json.Valid(structured.Base64) {
			return schemas.Event{}, fmt.Errorf("structured CloudEvent: data_base64 holds no JSON")
		}
		structured.Data = structured.Base64
	}
	return structured.Event, nil
}

// parseBinary reads the binary form. Header values are percent-encoded.
func parseBinary(attrs map[string]string, body []byte) (schemas.Event, error) {
	get := func(name string) string {
		v := attrs["ce-"+name]
		if plain, err := url.PathUnescape(v); err == nil {
			return plain
		}
		return v
	}
	ev := schemas.Event{
		SpecVersion: get("specversion"), ID: get("id"), Source: get("source"), Type: schemas.Kind(get("type")),
		Subject: get("subject"), DataContentType: attrs["content-type"], DataSchema: get("dataschema"),
		Run: get("run"), Cause: get("cause"), Actor: get("actor"), TraceParent: get("traceparent"),
	}
	if t := get("time"); t != "" {
		at, err := time.Parse(time.RFC3339Nano, t)
		if err != nil {
			return ev, fmt.Errorf("binary CloudEvent: ce-time: %w", err)
		}
		ev.Time = at
	}
	if len(body) > 0 && !json.Valid(body) {
		return ev, fmt.Errorf("binary CloudEvent: the body of %d bytes is not JSON", len(body))
	}
	ev.Data = body
	return ev, nil
}

func complete(ev *schemas.Event, kind schemas.Kind, seq uint64, at time.Time) {
	if ev.SpecVersion == "" {
		ev.SpecVersion = schemas.SpecVersion
	}
	if ev.Type == "" {
		ev.Type = kind
	}
	if ev.Source == "" {
		ev.Source = foreign
	}
	if ev.ID == "" {
		ev.ID = strconv.FormatUint(seq, 10)
	}
	if ev.Time.IsZero() {
		ev.Time = at.UTC()
	}
	if ev.Run == "" {
		ev.Run = Key(*ev)
	}
}

func check(ev schemas.Event, kind schemas.Kind) error {
	if ev.Type != kind {
		return fmt.Errorf("the event's type is %.80q, this subject carries %s", ev.Type, kind)
	}
	return ev.Validate()
}

// kindOf is the kind of event that subject carries.
func kindOf(subject string) schemas.Kind {
	if k, ok := strings.CutPrefix(subject, dataRoot); ok {
		return schemas.Kind(k)
	}
	if k, ok := strings.CutPrefix(subject, eventRoot); ok {
		return schemas.Kind(k)
	}
	if strings.HasPrefix(subject, modelRoot) {
		return schemas.ModelAlias
	}
	return ""
}

// quoted is body as a JSON string, cut to what a person can use.
func quoted(body []byte) json.RawMessage {
	const most = 64 << 10
	text, err := json.Marshal(strings.ToValidUTF8(string(body[:min(len(body), most)]), "\uFFFD"))
	if err != nil {
		return nil
	}
	return text
}
