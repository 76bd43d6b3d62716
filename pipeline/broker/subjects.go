package broker

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/glmflow/glmflow/schemas"
)

// The streams of the flow.
const (
	Stream         = "GLMFLOW"          // work and facts, kept
	MetricStream   = "GLMFLOW_METRIC"   // measurements, kept for a month
	ScheduleStream = "GLMFLOW_SCHEDULE" // message schedules and what they fired
)

// The roots of the subjects. A comment says what follows.
const (
	dataRoot     = "glmflow.data."     // <kind>
	eventRoot    = "glmflow.event."    // <kind>
	doneRoot     = "glmflow.done."     // <stage>.<key>
	deadRoot     = "glmflow.dead."     // <stage>.<key>
	modelRoot    = "glmflow.model."    // <name>
	cancelRoot   = "glmflow.cancel."   // <run>
	metricRoot   = "glmflow.metric."   // <run>.<stage>
	scheduleRoot = "glmflow.schedule." // <name>
	fireRoot     = "glmflow.fire."     // <name>
)

// Wildcards for readers of all subjects of a sort.
const (
	AllData      = dataRoot + ">"
	AllEvents    = eventRoot + ">"
	AllDone      = doneRoot + "*.*"
	AllDead      = deadRoot + "*.*"
	AllModels    = modelRoot + "*"
	AllCancels   = cancelRoot + "*"
	AllMetrics   = metricRoot + "*.*"
	AllSchedules = scheduleRoot + "*"
	AllFires     = fireRoot + "*"
)

// DataSubject is where datasets of kind k are announced.
func DataSubject(k schemas.Kind) string { return dataRoot + string(k) }

// EventSubject is where control events of kind k are published, by us or others.
func EventSubject(k schemas.Kind) string { return eventRoot + string(k) }

// SubjectOf is where ev belongs.
func SubjectOf(ev schemas.Event) string {
	switch {
	case ev.Type.IsData():
		return DataSubject(ev.Type)
	case ev.Type == schemas.ModelAlias:
		return ModelSubject(ev.Subject)
	default:
		return EventSubject(ev.Type)
	}
}

// KindSubject is where events of kind k arrive that start a stage's jobs.
func KindSubject(k schemas.Kind) string {
	if k == schemas.ModelAlias {
		return AllModels
	}
	return SubjectOf(schemas.Event{Type: k})
}

// DoneSubject holds the done record of one stage's job; key is the event's [Key].
func DoneSubject(stage, key string) string { return doneRoot + Token(stage) + "." + Token(key) }

// DeadSubject holds the dead letter of one stage's job; key is the event's [Key].
func DeadSubject(stage, key string) string { return deadRoot + Token(stage) + "." + Token(key) }

// outcomeSubjects matches the done and the dead record of one job.
func outcomeSubjects(stage, key string) string { return "glmflow.*." + Token(stage) + "." + Token(key) }

// ModelSubject holds a model's append-only history.
func ModelSubject(name string) string { return modelRoot + Token(name) }

// CancelSubject holds the cancellation of a run.
func CancelSubject(run string) string { return cancelRoot + Token(run) }

// MetricSubject carries the measurements of one stage in one run.
func MetricSubject(run, stage string) string { return metricRoot + Token(run) + "." + Token(stage) }

// ScheduleSubject holds a schedule, FireSubject what it fires.
func ScheduleSubject(name string) string { return scheduleRoot + Token(name) }

// FireSubject is where the schedule of that name fires.
func FireSubject(name string) string { return fireRoot + Token(name) }

// Token returns s if it can be one token of a subject, or else a hash of it:
// names that others chose may hold dots, blanks or wildcards.
func Token(s string) string {
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	if s != "" && len(s) <= 64 && strings.Trim(s, safe) == "" {
		return s
	}
	return hash(s)
}

// Key identifies ev among all events, as one token: the idempotency key of the
// jobs it starts. It is the event's own id where glmflow gave it, and a hash of
// source and id where somebody else did, whose ids are unique with the source
// alone.
func Key(ev schemas.Event) string {
	if strings.HasPrefix(ev.Source, "/glmflow/") {
		return Token(ev.ID)
	}
	return hash(ev.Source + "\x00" + ev.ID)
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}
