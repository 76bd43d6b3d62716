package finetune

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
	"github.com/glmflow/glmflow/gpu/optim"
)

// A checkpoint is one safetensors file: of every trainable parameter the
// weights, what the optimizer remembers, the moving average and the best weights
// so far; and in the metadata the JSON of a state, and a digest of all that.
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
		parts = append(parts, optim.Tensor{Name: "weight/" + p.Name, Mem: p.W})
	}
	parts = append(parts, r.optimizer.State()...)
	if r.average != nil {
		parts = append(parts, r.average.State()...)
	}
	return parts
}

// outputs are all tensors of a checkpoint.
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

// restore takes everything over from a checkpoint of this run. A file that is not
// what was saved is found out before anything changes.
func (r *run) restore(file *safetensors.File, saved state) error {
	if err := verify(file); err != nil {
		return damagedError{err}
	}
	for _, p := range r.parts() {
		values := make([]float32, p.Mem.Len())
		if err := file.Read(p.Name, values); err != nil {
			return err
		}
		r.dev.Upload(p.Mem, values)
		if err := r.dev.Sync(); err != nil {
			return err
		}
	}
	r.best = nil
	if saved.Best != nil {
		r.best = make([][]float32, len(r.params))
		for i, p := range r.params {
			r.best[i] = make([]float32, p.W.Len())
			if err := file.Read("best/"+p.Name, r.best[i]); err != nil {
				return err
			}
		}
	}
	parts := r.state.Parts // which the checkpoint may not say
	r.state = saved
	r.state.Parts = parts
	r.optimizer.SetSteps(saved.Steps - saved.Skipped)
	return nil
}

// digest is that of a checkpoint with the given state and tensors, which read
// reads one after the other.
func digest(state string, tensors []safetensors.Tensor, read func(i int, dst []float32) error) (string, error) {
	h := sha256.New()
	io.WriteString(h, state)
	largest := 0
	for _, t := range tensors {
		largest = max(largest, t.Len())
	}
	values := make([]float32, largest)
	for i, t := range tensors {
		fmt.Fprintf(h, "\n%s %d\n", t.Name, t.Len())
		part := values[:t.Len()]
		if err := read(i, part); err != nil {
			return "", fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		hashFloats(h, part)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// hashFloats adds the bits of numbers.
func hashFloats(h io.Writer, values []float32) {
	raw := make([]byte, 0, 4<<14)
	for piece := range slices.Chunk(values, 1<<14) {
		raw = raw[:0]
		for _, v := range piece {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
		}
		h.Write(raw)
	}
}

// verify compares a checkpoint with its digest.
func verify(file *safetensors.File) error {
	meta, tensors := file.Metadata(), file.Tensors()
	got, err := digest(meta[stateKey], tensors, func(i int, dst []float32) error { return file.Read(tensors[i].Name, dst) })
	if err != nil {
		return err
	}
	if want := meta[digestKey]; got != want {
		return fmt.Errorf("sha256 is %s, saved as %q", got, want)
	}
	return nil
}
