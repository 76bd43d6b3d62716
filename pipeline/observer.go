package pipeline

import (
	"time"

	"github.com/glmflow/glmflow/schemas"
)

// An Observer hears what a [Runner] does: hooks for metrics, logs, consoles and
// tests. A nil func is not called. The funcs are called from the workers'
// goroutines and hold the job up until they return.
type Observer struct {
	// JobStarted is called before a stage's Run.
	JobStarted func(JobInfo)
	// JobProgress is called for each [Job.Report].
	JobProgress func(JobInfo, Progress)
	// JobFinished is called when the outcome of an attempt stands: committed,
	// dead, or to be delivered again, but not acknowledged yet.
	JobFinished func(JobInfo, Outcome)
}

// A JobInfo says which job is meant.
type JobInfo struct {
	Stage   string
	Event   schemas.Event
	Attempt int // from 1
}

// A Result is what became of an attempt.
type Result string

// The results.
const (
	Done      Result = "done"      // outputs are visible
	Repeated  Result = "repeated"  // the job was done or dead already; nothing became visible
	Retried   Result = "retried"   // an error; the job will be tried again
	Waiting   Result = "waiting"   // the stage asked for time
	Parked    Result = "parked"    // dead letter
	Cancelled Result = "cancelled" // dead letter, because the run was cancelled
	Drained   Result = "drained"   // the process stops; the job goes on elsewhere
)

// An Outcome describes how an attempt ended.
type Outcome struct {
	Result   Result
	Err      error // what the stage or the hand-over said; nil when done
	Duration time.Duration
	RowsIn   int64                  // of the event's dataset, 0 for a control event
	RowsOut  map[schemas.Kind]int64 // what was handed over
}

// Observers joins observers into one that calls them in order.
func Observers(all ...Observer) Observer {
	return Observer{
		JobStarted: func(j JobInfo) {
			for _, o := range all {
				if o.JobStarted != nil {
					o.JobStarted(j)
				}
			}
		},
		JobProgress: func(j JobInfo, p Progress) {
			for _, o := range all {
				if o.JobProgress != nil {
					o.JobProgress(j, p)
				}
			}
		},
		JobFinished: func(j JobInfo, out Outcome) {
			for _, o := range all {
				if o.JobFinished != nil {
					o.JobFinished(j, out)
				}
			}
		},
	}
}
