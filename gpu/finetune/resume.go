package finetune

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
)

// Checkpoints take turns in as many slots as are kept.
func slotName(slot int) string { return fmt.Sprintf("checkpoint-%d.safetensors", slot) }

const maxSlots = 100

// A damagedError says that a checkpoint is not what was saved.
type damagedError struct{ error }

func (e damagedError) Unwrap() error { return e.error }

// save keeps where the run stands, between two steps, in place of the oldest
// checkpoint.
func (r *run) save(ctx context.Context) error {
	if r.hooks.State == nil {
		return nil
	}
	if err := r.saveTo(ctx, r.slot); err != nil {
		return fmt.Errorf("checkpoint of step %d: %w", r.state.Steps, err)
	}
	r.slot = (r.slot + 1) % r.options.KeepCheckpoints
	return nil
}

// suspect reports whether the weights may be such that nothing can be computed
// with them: a checkpoint of them would push out better ones.
func (r *run) suspect() bool { return r.state.SkippedInARow > 0 }

// interrupted keeps where a run stands that was cancelled, but nothing suspect in
// place of a checkpoint.
func (r *run) interrupted(ctx context.Context) error {
	if r.hooks.State != nil && r.suspect() {
		from, err := r.hooks.State.Load(ctx, slotName(r.slot))
		if err == nil {
			return from.Close()
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", slotName(r.slot), err)
		}
	}
	return r.save(ctx)
}

func (r *run) saveTo(ctx context.Context, slot int) error {
	text, err := json.Marshal(r.state)
	if err != nil {
		return err
	}
	return r.hooks.State.Save(ctx, slotName(slot), func(w io.Writer) error {
		return safetensors.Write(w, sealed(string(text), r.outputs()), map[string]string{stateKey: string(text)})
	})
}

// A candidate is a checkpoint to go on from.
type candidate struct {
	slot  int
	state state
}

// resume goes on from the newest checkpoint of this run, if there is one.
func (r *run) resume(ctx context.Context) error {
	all, err := r.candidates(ctx)
	if err != nil {
		return err
	}
	found, err := r.restore(ctx, all)
	if found {
		r.resumed = r.state.Steps
		r.log.Info("going on from a checkpoint", "step", r.resumed)
	}
	return err
}

// candidates lists the checkpoints of this run, the newest first. If there are
// only some of another run, they are an error unless they may be lost.
func (r *run) candidates(ctx context.Context) ([]candidate, error) {
	var all []candidate
	var foreign *ForeignError
	if r.hooks.State == nil {
		return nil, nil
	}
	for slot := range maxSlots {
		saved, err := r.peek(ctx, slot)
		var damaged damagedError
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if slot >= r.options.KeepCheckpoints {
				if len(all) == 0 && foreign != nil && !r.hooks.Overwrite {
					return nil, foreign
				}
				slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(b.state.Steps, a.state.Steps) })
				return all, nil
			}
		case errors.As(err, &damaged):
			r.log.Warn("passing over a damaged checkpoint", "checkpoint", slotName(slot), "error", err)
		case err != nil:
			return nil, fmt.Errorf("%s: %w", slotName(slot), err)
		case saved.Identity != r.state.Identity:
			foreign = r.foreign(slotName(slot), saved)
			r.log.Info("passing over a checkpoint of another run", "checkpoint", slotName(slot), "different", strings.Join(foreign.Different, "; "))
		default:
			all = append(all, candidate{slot, saved})
		}
	}
	return all, nil
}

// foreign says how a checkpoint of another run differs from this one.
func (r *run) foreign(name string, saved state) *ForeignError {
	e := &ForeignError{Checkpoint: name, Step: saved.Steps}
	if saved.Parts != nil {
		e.Different = r.state.Parts.since(*saved.Parts)
	}
	return e
}

// peek reads a checkpoint's state and leaves its tensors alone.
func (r *run) peek(ctx context.Context, slot int) (saved state, err error) {
	from, err := r.hooks.State.Load(ctx, slotName(slot))
	if err != nil {
		return state{}, err
	}
	defer from.Close()
	meta, err := safetensors.ReadMetadata(from)
	if err != nil {
		return state{}, damagedError{err}
	}
	if err := json.Unmarshal([]byte(meta[stateKey]), &saved); err != nil {
		return state{}, damagedError{err}
	}
	if saved.Identity != r.state.Identity {
		return saved, nil
	}
	if err := saved.check(r.plan.total); err != nil {
		return state{}, damagedError{err}
	}
	return saved, nil
}

// restore takes over the first of the candidates that is whole.
func (r *run) restore(ctx context.Context, all []candidate) (bool, error) {
	for _, c := range all {
		err := r.load(ctx, c)
		var damaged damagedError
		if errors.As(err, &damaged) {
			r.log.Warn("passing over a damaged checkpoint", "checkpoint", slotName(c.slot), "step", c.state.Steps, "error", err)
			continue
		}
		if err != nil {
			return false, fmt.Errorf("checkpoint of step %d: %w", c.state.Steps, err)
		}
		r.slot = (c.slot + 1) % r.options.KeepCheckpoints
		return true, nil
	}
	return false, nil
}

func (r *run) load(ctx context.Context, c candidate) error {
	from, err := r.hooks.State.Load(ctx, slotName(c.slot))
	if err != nil {
		return err
	}
	defer from.Close()
	local, isFile := from.(*os.File)
	if !isFile {
		// It may be larger than memory, and is read by tensor.
		if local, err = unnamed(r.hooks.Scratch); err != nil {
			return err
		}
		defer os.Remove(local.Name())
		defer local.Close()
		if _, err := io.Copy(local, from); err != nil {
			return err
		}
	}
	info, err := local.Stat()
	if err != nil {
		return err
	}
	file, err := safetensors.NewFile(slotName(c.slot), local, info.Size())
	if err != nil {
		return damagedError{err}
	}
	return r.takeOver(file, c.state)
}

// unnamed makes a file in dir that vanishes when it is closed or the process
// dies; where a system cannot do that, it has a name until it is removed.
func unnamed(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "glmflow-checkpoint-*.safetensors")
	if err == nil {
		_ = os.Remove(f.Name())
	}
	return f, err
}
