package ledger

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/nats-io/nats.go"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/schemas"
)

const (
	maxRuns = 20_000 // settled runs beyond these are forgotten, oldest first
	maxKept = 100    // entries of each list of a run
)

// A view is the read model: the fold of the stream's messages. It knows no
// broker, so that a test can feed it.
type view struct {
	specs   []pipeline.Spec
	runs    map[string]*run
	order   []string // ids of runs, by their first message
	models  map[string]*Model
	tokens  []tokens             // every tokens dataset, in order of arrival
	windows map[string][]*window // of each model, in order of cutting
	lastDue uint64               // last sequence of the train.due subject
	applied uint64               // last sequence of the stream that is in the view
}

// A run is a [Run] and what the fold needs beside it.
type run struct {
	Run
	seen      map[uint64]struct{} // hashes of its events' keys: a repeated event starts no second job
	waiting   map[job]int64       // jobs without outcome → rows of their dataset
	coming    map[uint64]struct{} // outputs that a done record names and that stand behind it in its batch
	cancelled bool
	ended     time.Time // when the last of its jobs so far ended
}

// A job is one stage's work on one event.
type job struct{ stage, key string }

func newView(specs []pipeline.Spec) *view {
	return &view{specs: specs, runs: map[string]*run{}, models: map[string]*Model{}, windows: map[string][]*window{}}
}

// apply folds one message. Its error says why the message means nothing; the
// view then counts it as read and goes on.
func (v *view) apply(subject string, header nats.Header, body []byte, seq uint64, at time.Time) error {
	v.applied = seq
	parts := strings.SplitN(subject, ".", 3)
	if len(parts) != 3 {
		return fmt.Errorf("subject %q is not the flow's", subject)
	}
	switch parts[1] {
	case "data", "event", "model":
		ev, err := broker.Decode(subject, header, body, seq, at)
		if subject == broker.EventSubject(schemas.TrainDue) {
			v.lastDue = seq
		}
		if parts[1] == "model" {
			if err != nil {
				return err
			}
			return v.applyChange(ev, seq)
		}
		v.applyEvent(ev, seq) // a malformed one as well: its stage will park it
		return err
	case "done":
		var done broker.Done
		if err := json.Unmarshal(body, &done); err != nil {
			return fmt.Errorf("done record %s: %w", subject, err)
		}
		v.applyDone(done, subject, seq)
	case "dead":
		var dead broker.Dead
		if err := json.Unmarshal(body, &dead); err != nil {
			return fmt.Errorf("dead letter %s: %w", subject, err)
		}
		v.applyDead(dead, seq)
	case "cancel":
		var cancel broker.Cancel
		if err := json.Unmarshal(body, &cancel); err != nil {
			return fmt.Errorf("cancellation %s: %w", subject, err)
		}
		v.applyCancel(cancel, seq)
	}
	return nil
}

// hash makes an event's kind and key small enough to be remembered.
func hash(kind schemas.Kind, key string) uint64 {
	return xxhash.Sum64String(string(kind) + " " + key)
}

// run returns the run of that id, and begins it where there is none.
func (v *view) run(id string, seq uint64) *run {
	r := v.runs[id]
	if r == nil {
		r = &run{Run: Run{ID: id, First: seq, State: Running}, seen: map[uint64]struct{}{}, waiting: map[job]int64{}, coming: map[uint64]struct{}{}}
		v.runs[id] = r
		v.order = append(v.order, id)
		v.forget()
	}
	r.Last = seq
	return r
}

// forget drops the oldest settled run when there are too many.
func (v *view) forget() {
	if len(v.order) <= maxRuns {
		return
	}
	for i, id := range v.order {
		if v.runs[id].Settled() && len(v.runs[id].Stages) > 0 {
			delete(v.runs, id)
			v.order = slices.Delete(v.order, i, i+1)
			return
		}
	}
}

func (v *view) applyEvent(ev schemas.Event, seq uint64) {
	r := v.run(ev.Run, seq)
	if r.sawBefore(ev) {
		return
	}
	if r.Kind == "" {
		var said struct{ Reason string }
		if len(ev.Data) > 0 {
			_ = json.Unmarshal(ev.Data, &said) // most requests have a reason, the others none
		}
		r.Kind, r.Actor, r.Reason, r.Started = ev.Type, ev.Actor, said.Reason, ev.Time
	}
	rows := int64(0)
	switch {
	case ev.Type.IsData():
		var d schemas.Dataset
		if ev.Decode(&d) == nil {
			rows = d.Rows
			d.Inline = nil
			v.applyDataset(r, ev, d)
		}
	case ev.Type == schemas.TrainDue:
		v.applyDue(r, ev)
	}
	for _, spec := range v.specs {
		if slices.Contains(spec.In, ev.Type) {
			r.waiting[job{spec.Name, broker.Key(ev)}] = rows
			v.stage(r, spec.Name).Waiting++
		}
	}
	r.settle(time.Time{})
}

// sawBefore notes that an event of the run was stored, and reports whether it was
// already.
func (r *run) sawBefore(ev schemas.Event) bool {
	id := hash(ev.Type, broker.Key(ev))
	if _, again := r.seen[id]; again {
		return true
	}
	named := hash(ev.Type, broker.Token(ev.ID)) // as a done record names it
	r.seen[id], r.seen[named] = struct{}{}, struct{}{}
	delete(r.coming, named)
	return false
}

func (v *view) applyDataset(r *run, ev schemas.Event, d schemas.Dataset) {
	switch d.Kind {
	case schemas.Tokens:
		v.tokens = append(v.tokens, tokens{ev.ID, ev.Run, d.Digest, d.Meta["vocab"], d.Rows, d.Bytes, d.Version})
	case schemas.Adapter, schemas.Score, schemas.Release:
		r.Outputs = keep(r.Outputs, Output{ev.ID, d})
	}
}

func (v *view) applyDone(done broker.Done, subject string, seq uint64) {
	r := v.run(done.Run, seq)
	s := v.stage(r, done.Stage)
	j := job{done.Stage, subject[strings.LastIndexByte(subject, '.')+1:]}
	if rows, ok := r.waiting[j]; ok {
		delete(r.waiting, j)
		s.Waiting--
		s.RowsIn += rows
	}
	s.Done++
	for _, out := range done.Outputs {
		named := hash(out.Kind, broker.Token(out.ID))
		if _, seen := r.seen[named]; !seen {
			r.coming[named] = struct{}{}
		}
		if out.Kind == schemas.DialogueReject {
			s.Rejected += out.Rows
		} else {
			s.RowsOut += out.Rows
		}
	}
	if s.Started.IsZero() || done.Started.Before(s.Started) {
		s.Started = done.Started
	}
	if done.Finished.After(s.Finished) {
		s.Finished = done.Finished
	}
	if done.Note != "" {
		r.Notes = keep(r.Notes, Note{done.Stage, done.Note})
	}
	r.settle(done.Finished)
}

func (v *view) applyDead(dead broker.Dead, seq uint64) {
	r := v.run(dead.Event.Run, seq)
	s := v.stage(r, dead.Stage)
	j := job{dead.Stage, broker.Key(dead.Event)}
	if _, ok := r.waiting[j]; ok {
		delete(r.waiting, j)
		s.Waiting--
	}
	s.Parked++
	dead.Event.Data = nil
	r.Parked = keep(r.Parked, dead)
	r.settle(dead.Time)
}

func (v *view) applyCancel(cancel broker.Cancel, seq uint64) {
	r := v.run(cancel.Run, seq)
	r.cancelled = true
	r.Notes = keep(r.Notes, Note{"", fmt.Sprintf("cancelled by %s: %s", cancel.Actor, cancel.Reason)})
	r.settle(cancel.Time)
}

// settle computes what follows from the run's jobs; at is when the last of them
// ended, zero if none did.
func (r *run) settle(at time.Time) {
	r.Waiting = len(r.waiting) + len(r.coming)
	parked := 0
	for _, s := range r.Stages {
		parked += s.Parked
	}
	switch {
	case r.cancelled:
		r.State = Cancelled
	case r.Waiting > 0:
		r.State = Running
	case parked > 0:
		r.State = Parked
	default:
		r.State = Finished
	}
	if at.After(r.ended) {
		r.ended = at
	}
	r.Finished = time.Time{}
	if r.Waiting == 0 {
		r.Finished = r.ended // the last message may be an output, which ends no job
	}
}

// stage returns the state of a stage in a run, in its place in the flow.
func (v *view) stage(r *run, name string) *StageState {
	place := func(name string) int {
		if i := slices.IndexFunc(v.specs, func(s pipeline.Spec) bool { return s.Name == name }); i >= 0 {
			return i
		}
		return len(v.specs)
	}
	for i := range r.Stages {
		if r.Stages[i].Name == name {
			return &r.Stages[i]
		}
	}
	i := slices.IndexFunc(r.Stages, func(s StageState) bool { return place(s.Name) > place(name) })
	if i < 0 {
		i = len(r.Stages)
	}
	r.Stages = slices.Insert(r.Stages, i, StageState{Name: name})
	return &r.Stages[i]
}

// keep appends to a list of a run, up to its bound.
func keep[T any](list []T, item T) []T {
	if len(list) >= maxKept {
		return list
	}
	return append(list, item)
}
