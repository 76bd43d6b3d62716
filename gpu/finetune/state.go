package finetune

import (
	"fmt"
	"slices"

	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
	"github.com/glmflow/glmflow/gpu/optim"
)

// A checkpoint is one safetensors file: of every trainable parameter the
// weights, what the optimizer remembers, the moving average and the best weights
// so far; in the metadata the JSON of a state; and, last, a digest of all that.
// Once the digest was in the metadata, and such files are read still.
const (
	stateKey  = "finetune"
	digestKey = "sha256"
)

// state is what a checkpoint holds besides tensors.
type state struct {
	Identity      string    `json:"identity"`        // of the run, see fingerprint
	Parts         *identity `json:"parts,omitempty"` // of it; nil in checkpoints of earlier versions
	Result                  // so far; Steps is also the position in the data and of the random numbers
	Validated     int       `json:"validated"`         // the step validated last, −1 before the first
	Best          *float64  `json:"best,omitempty"`    // the metric at BestStep
	Counted       *float64  `json:"counted,omitempty"` // the metric at the last improvement that counted for Patience
	WithoutGain   int       `json:"without_gain"`      // validations since then
	SkippedInARow int       `json:"skipped_in_a_row"`  // up to now
}

// check finds counts that no run leaves behind.
func (s state) check(total int) error {
	if s.Steps < 0 || s.Steps > total || s.Skipped < 0 || s.Skipped > s.Steps || s.Validated < -1 || s.Validated > s.Steps {
		return fmt.Errorf("step %d of %d, %d skipped, validated at %d", s.Steps, total, s.Skipped, s.Validated)
	}
	return nil
}

// parts are the tensors of a checkpoint that lie on the device.
func (r *run) parts() []optim.Tensor {
	var parts []optim.Tensor
	for _, p := range r.params {
		parts = append(parts, optim.Tensor{
			Name: "weight/" + p.Name, N: p.Len(),
			Read:  func(dst []float32) error { return r.model.Values(p, dst) },
			Write: func(src []float32) error { return r.model.SetValues(p, src) },
		})
	}
	return append(parts, r.updater.state()...)
}

// outputs are all tensors of a checkpoint.
func (r *run) outputs() []safetensors.Output {
	var out []safetensors.Output
	for _, p := range r.parts() {
		out = append(out, safetensors.Output{Name: p.Name, Shape: []int{p.N}, Read: p.Read})
	}
	for i, w := range r.best {
		out = append(out, safetensors.Values("best/"+r.params[i].Name, []int{len(w)}, w))
	}
	return out
}

// takeOver reads all of a checkpoint of this run. A file that is not what was
// saved is found out before anything changes.
func (r *run) takeOver(file *safetensors.File, saved state) error {
	if err := verify(file); err != nil {
		return damagedError{err}
	}
	var values []float32
	for _, p := range r.parts() {
		values = slices.Grow(values[:0], p.N)[:p.N]
		if err := file.Read(p.Name, values); err != nil {
			return err
		}
		if err := p.Write(values); err != nil {
			return err
		}
	}
	r.best = nil
	if saved.Best != nil {
		r.best = make([][]float32, len(r.params))
		for i, p := range r.params {
			r.best[i] = make([]float32, p.Len())
			if err := file.Read("best/"+p.Name, r.best[i]); err != nil {
				return err
			}
		}
	}
	parts := r.state.Parts // which the checkpoint may not say
	r.state = saved
	r.state.Parts = parts
	r.updater.optimizer.SetSteps(saved.Steps - saved.Skipped)
	return nil
}
