package finetune

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
	"github.com/glmflow/glmflow/gpu/optim"
)

// A checkpoint is one safetensors file: of every trainable parameter the
// weights, both moments and the best weights so far, and in the metadata, under
// stateKey, the JSON of a state.
const (
	checkpointName = "checkpoint.safetensors"
	stateKey       = "finetune"
)

// state is what a checkpoint holds besides tensors.
type state struct {
	Identity      string `json:"identity"` // of the run, see fingerprint
	Result               // so far; Steps is also the position in the data and of the random numbers
	Validated     int    `json:"validated"`        // the step validated last, −1 before the first
	WithoutGain   int    `json:"without_gain"`     // validations since BestStep
	SkippedInARow int    `json:"skipped_in_a_row"` // up to now
}

// check finds counts that no run leaves behind.
func (s state) check(total int) error {
	if s.Steps < 0 || s.Steps > total || s.Skipped < 0 || s.Skipped > s.Steps || s.Validated < -1 || s.Validated > s.Steps {
		return fmt.Errorf("step %d of %d, %d skipped, validated at %d", s.Steps, total, s.Skipped, s.Validated)
	}
	return nil
}

// save keeps where the run stands, between two steps.
func (r *run) save(ctx context.Context) error {
	if r.hooks.State == nil {
		return nil
	}
	text, err := json.Marshal(r.state)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	err = r.hooks.State.Save(ctx, checkpointName, func(w io.Writer) error {
		return safetensors.Write(w, r.outputs(), map[string]string{stateKey: string(text)})
	})
	if err != nil {
		return fmt.Errorf("checkpoint of step %d: %w", r.state.Steps, err)
	}
	return nil
}

// parts are the tensors of a checkpoint that lie on the device.
func (r *run) parts() []optim.Tensor {
	var parts []optim.Tensor
	for _, p := range r.params {
		parts = append(parts, optim.Tensor{Name: "weight/" + p.Name, Mem: p.W})
	}
	return append(parts, r.optimizer.State()...)
}

func (r *run) outputs() []safetensors.Output {
	var out []safetensors.Output
	for _, p := range r.parts() {
		out = append(out, safetensors.Output{Name: p.Name, Shape: []int{p.Mem.Len()}, Read: func(dst []float32) error {
			r.dev.Download(dst, p.Mem)
			return r.dev.Sync()
		}})
	}
	for i, w := range r.best {
		out = append(out, safetensors.Values("best/"+r.params[i].Name, []int{len(w)}, w))
	}
	return out
}

// resume goes back to where the checkpoint stands, if there is one of this run.
func (r *run) resume(ctx context.Context) error {
	if r.hooks.State == nil {
		return nil
	}
	from, err := r.hooks.State.Load(ctx, checkpointName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	defer from.Close()
	// A checkpoint may be larger than memory, and is read by tensor.
	copied, err := os.CreateTemp("", "glmflow-checkpoint-*.safetensors")
	if err != nil {
		return err
	}
	defer os.Remove(copied.Name())
	if _, err := io.Copy(copied, from); err != nil {
		copied.Close()
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := copied.Close(); err != nil {
		return err
	}
	file, err := safetensors.Open(copied.Name())
	if err != nil {
		r.log.Warn("beginning anew: the checkpoint is damaged", "error", err)
		return nil
	}
	defer file.Close()
	var saved state
	if err := json.Unmarshal([]byte(file.Metadata()[stateKey]), &saved); err != nil {
		r.log.Warn("beginning anew: the checkpoint is damaged", "error", err)
		return nil
	}
	if saved.Identity != r.state.Identity {
		r.log.Info("beginning anew: the checkpoint is of another run")
		return nil
	}
	if err := saved.check(r.plan.total); err != nil {
		r.log.Warn("beginning anew: the checkpoint is damaged", "error", err)
		return nil
	}
	if err := r.restore(file, saved); err != nil {
		return fmt.Errorf("checkpoint of step %d: %w", saved.Steps, err)
	}
	r.log.Info("going on from a checkpoint", "step", saved.Steps)
	return nil
}

// restore takes everything over from a checkpoint of this run.
func (r *run) restore(file *safetensors.File, saved state) error {
	for _, p := range r.parts() {
		values := make([]float32, p.Mem.Len())
		if err := file.Read(p.Name, values); err != nil {
			return err
		}
		r.dev.Upload(p.Mem, values)
	}
	if saved.BestLoss != nil {
		r.best = make([][]float32, len(r.params))
		for i, p := range r.params {
			r.best[i] = make([]float32, p.W.Len())
			if err := file.Read("best/"+p.Name, r.best[i]); err != nil {
				return err
			}
		}
	}
	r.state, r.resumed = saved, saved.Steps
	r.optimizer.SetSteps(saved.Steps - saved.Skipped)
	return r.dev.Sync()
}
