package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// tries is the count of attempts at a job. It lies beside the job's state in the
// artifact store, not in the broker's consumer, so that it counts the attempts in
// which the whole process died, and survives a consumer that is made anew.
type tries struct {
	Count int    `json:"count"`
	Error string `json:"error,omitempty"` // of the last one
}

func (d *delivery) triesName() string { return stateDir(d.spec.Name, d.key) + "/tries" }

func (d *delivery) loadTries(ctx context.Context) (t tries, err error) {
	const most = 64 << 10
	r, err := d.cfg.Store.Load(ctx, d.triesName())
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return t, err
	}
	defer r.Close()
	if err := json.NewDecoder(io.LimitReader(r, most)).Decode(&t); err != nil {
		return t, fmt.Errorf("read %s: %w", d.triesName(), err)
	}
	return t, nil
}

func (d *delivery) saveTries(ctx context.Context) error {
	const most = 16 << 10
	d.tries.Error = d.tries.Error[:min(len(d.tries.Error), most)]
	return d.cfg.Store.Save(ctx, d.triesName(), func(w io.Writer) error { return json.NewEncoder(w).Encode(d.tries) })
}

// dropState forgets the attempts and the job's own state.
func (d *delivery) dropState(ctx context.Context) {
	if err := d.cfg.Store.Drop(ctx, stateDir(d.spec.Name, d.key)); err != nil {
		d.log.Warn("state of a finished job stays behind", "error", err)
	}
}
