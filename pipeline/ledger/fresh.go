package ledger

import (
	"context"
	"slices"

	cutter "github.com/glmflow/glmflow/pipeline/window"
	"github.com/glmflow/glmflow/schemas"
)

// tokens is one tokens dataset, as small as it can be remembered.
type tokens struct {
	event, run, digest, vocab string
	rows, bytes               int64
	version                   int
}

// A window is what was cut for a model.
type window struct {
	digest   string
	run      string
	seq      uint64
	datasets []string // ids of the tokens events that it holds while it lives
}

// applyDue notes a window that was cut.
func (v *view) applyDue(r *run, ev schemas.Event) {
	var due schemas.TrainJob
	if ev.Decode(&due) != nil {
		return // the train stage parks it
	}
	r.Windows = keep(r.Windows, due.Window)
	v.windows[due.Model] = append(v.windows[due.Model], &window{due.Window, ev.Run, v.applied, due.Datasets})
}

// lives reports whether a window of model still holds its datasets: its training
// passed the gate, or may yet do so.
func (v *view) lives(model string, w *window) bool {
	if m := v.models[model]; m != nil {
		for _, r := range slices.Backward(m.Versions) {
			if r.Window == w.digest {
				return r.Passed
			}
		}
	}
	r := v.runs[w.run]
	return r != nil && !r.Settled()
}

// fresh computes what a new window of model may take.
func (v *view) fresh(model string, runs []string) cutter.Fresh {
	held, returned := map[string]bool{}, map[string]bool{}
	f := cutter.Fresh{Last: v.lastDue}
	for _, w := range v.windows[model] {
		in := returned
		if v.lives(model, w) {
			in = held
			f.Windows = append(f.Windows, w.digest)
			if r := v.runs[w.run]; r != nil && !r.Settled() {
				f.Busy = append(f.Busy, w.run)
			}
		}
		for _, id := range w.datasets {
			in[id] = true
		}
	}
	for _, t := range v.tokens {
		if held[t.event] || len(runs) > 0 && !slices.Contains(runs, t.run) {
			continue
		}
		d := schemas.Dataset{Kind: schemas.Tokens, Version: t.version, Digest: t.digest, Rows: t.rows, Bytes: t.bytes, Meta: map[string]string{"vocab": t.vocab}}
		f.Sources = append(f.Sources, cutter.Source{Event: t.event, Run: t.run, Dataset: d, Returned: returned[t.event]})
	}
	return f
}

// Fresh returns the tokens datasets that no living window of model holds: all of
// them, or only what the given runs brought. It is current: every event that was
// stored before the call counts.
func (l *Ledger) Fresh(ctx context.Context, model string, runs []string) (cutter.Fresh, error) {
	if err := l.Sync(ctx); err != nil {
		return cutter.Fresh{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.view.fresh(model, runs), nil
}
