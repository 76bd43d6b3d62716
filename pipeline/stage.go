package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/glmflow/glmflow/schemas"
)

// A Stage is one step of the dataflow. It owns no goroutine, no subject and no
// retry loop: the [Runner] calls it, and all it knows of the world is its [Job].
type Stage interface {
	// Spec says what the stage eats, makes and holds. It never changes while
	// the process lives: streams, consumers, the console's picture and the
	// docs all derive from it.
	Spec() Spec

	// Run does one job. The same job may arrive twice, so outputs must follow
	// from the job, the configuration and the seed alone. They become visible
	// together when Run returns nil, and not at all otherwise.
	//
	// Run watches ctx and returns its error soon after it is cancelled; the job
	// is then delivered again. It returns [Park] for what can never succeed,
	// [Later] for what only has to wait, and any other error to be retried by
	// the runner's policy.
	Run(ctx context.Context, job *Job) error
}

// Spec describes a stage.
type Spec struct {
	Name  string         // "clean"; also the durable consumer and the log scope
	About string         // one line for people
	In    []schemas.Kind // the kinds of event it wakes up for
	Out   []schemas.Kind // every kind it may emit

	Workers  int           // jobs at once in one process; 0 means 1
	Attempts int           // deliveries before a job is parked; 0 means 5
	Lease    time.Duration // silence (no Report, Emit or Records step) after which the job is given to another worker; 0 means 2 minutes
	Holds    string        // exclusive resource while running, such as "device"; "" holds nothing
}

// parked is an error that no retry can mend.
type parked struct{ err error }

func (e *parked) Error() string { return e.err.Error() }
func (e *parked) Unwrap() error { return e.err }

// Park marks err as final: the job goes to the dead letters with err as its
// reason, and the flow goes on without it.
func Park(err error) error {
	if err == nil {
		return nil
	}
	return &parked{err}
}

// IsParked reports whether err, or an error it wraps, came from [Park].
func IsParked(err error) bool {
	var p *parked
	return errors.As(err, &p)
}

// later is an error that only asks for time.
type later struct {
	wait time.Duration
	err  error
}

func (e *later) Error() string { return e.err.Error() }
func (e *later) Unwrap() error { return e.err }

// Later asks for the same job again after d. It counts as an attempt no more
// than a redelivery after a crash does: a job that always says Later waits for
// ever, and shows up as waiting.
func Later(d time.Duration, err error) error {
	if err == nil {
		err = errors.New("not ready")
	}
	return &later{d, err}
}

// AsLater returns the wait that [Later] asked for, if err asks for one.
func AsLater(err error) (time.Duration, bool) {
	var l *later
	if errors.As(err, &l) {
		return l.wait, true
	}
	return 0, false
}

// Progress is what a stage reports while it works. Reporting renews the lease.
type Progress struct {
	Done    int64              `json:"done"`              // units finished
	Total   int64              `json:"total,omitempty"`   // units in all, 0 if unknown
	Unit    string             `json:"unit,omitempty"`    // "rows", "steps", "conversations"
	Message string             `json:"message,omitempty"` // a short line for people
	Values  map[string]float64 `json:"values,omitempty"`  // measurements of this moment: "loss", "lr", "grad_norm", "tokens_per_second"
}
