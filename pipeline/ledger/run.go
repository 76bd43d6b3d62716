package ledger

import (
	"slices"
	"time"

	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/schemas"
)

// A State says how a run stands.
type State string

// The states of a run.
const (
	Running   State = "running"   // jobs wait or are being worked on
	Finished  State = "finished"  // settled; every job was done
	Parked    State = "parked"    // settled; some jobs came to nothing, see Run.Parked
	Cancelled State = "cancelled" // somebody cancelled it
)

// A Run is all that follows from one request.
type Run struct {
	ID       string               `json:"id"`
	Kind     schemas.Kind         `json:"kind"` // of the request
	State    State                `json:"state"`
	Actor    string               `json:"actor"`    // the person or schedule at the root of it
	Reason   string               `json:"reason"`   // as the request gives it
	Started  time.Time            `json:"started"`  // when the request was said
	Finished time.Time            `json:"finished"` // when the last job ended; zero while the run is not settled
	Waiting  int                  `json:"waiting"`  // jobs that wait or are being worked on
	Stages   []StageState         `json:"stages"`   // those that had jobs, in the order of the flow
	Parked   []broker.Dead        `json:"parked"`   // the first hundred, without their events' data
	Notes    []Note               `json:"notes"`    // what stages had to say, in order
	Outputs  []Output             `json:"outputs"`  // adapters, scores and releases, in order
	Windows  []string             `json:"windows"`  // digests of the windows that it cut
	Releases []schemas.ReleaseRow `json:"releases"` // versions that it published, rejected ones among them
	First    uint64               `json:"first"`    // stream sequence of its first message
	Last     uint64               `json:"last"`     // and of its last
}

// Settled reports whether nothing more will come.
func (r Run) Settled() bool { return r.Waiting == 0 }

// Stage returns the state of one stage; it is zero if the stage had no job.
func (r Run) Stage(name string) StageState {
	for _, s := range r.Stages {
		if s.Name == name {
			return s
		}
	}
	return StageState{Name: name}
}

// A StageState is what one stage did in a run.
type StageState struct {
	Name     string    `json:"name"`
	Waiting  int       `json:"waiting"`  // jobs that wait or are being worked on
	Done     int       `json:"done"`     // jobs
	Parked   int       `json:"parked"`   // jobs
	RowsIn   int64     `json:"rows_in"`  // of the datasets of its done jobs
	RowsOut  int64     `json:"rows_out"` // without rejects
	Rejected int64     `json:"rejected"` // rows of dialogue.reject
	Started  time.Time `json:"started"`  // of the first job done
	Finished time.Time `json:"finished"` // of the last job done
}

// A Note is what a stage left in a done record.
type Note struct {
	Stage string `json:"stage"`
	Text  string `json:"text"`
}

// An Output is a dataset that a run made.
type Output struct {
	Event   string          `json:"event"` // id of its event
	Dataset schemas.Dataset `json:"dataset"`
}

// clone returns a copy that the ledger will not change.
func (r Run) clone() Run {
	r.Stages, r.Parked, r.Notes = slices.Clone(r.Stages), slices.Clone(r.Parked), slices.Clone(r.Notes)
	r.Outputs, r.Windows, r.Releases = slices.Clone(r.Outputs), slices.Clone(r.Windows), slices.Clone(r.Releases)
	return r
}
