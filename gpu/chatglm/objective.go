package chatglm

import (
	"errors"
	"fmt"
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

// An Objective is what training minimizes beyond −log p, and how it disturbs the
// model on the way. The zero Objective does neither. It changes what
// [Model.Accumulate] computes and nothing else.
type Objective struct {
	// LabelSmoothing ε wants (1−ε) of a target's probability on its label and the
	// rest evenly on the whole vocabulary.
	LabelSmoothing float32
	// Anchor λ adds λ·KL(base‖tuned) at every target, where base is the model with
	// its adapters switched off: what was learned before costs something to
	// forget. A step takes about half as long again.
	Anchor float32
	// Noise α adds to every embedding in a sequence of L tokens uniform noise in
	// ±α/√(L·H) (NEFTune, Jain et al. 2023, https://arxiv.org/abs/2310.05914).
	Noise float32
	// Seed is that of the noise.
	Seed uint64
}

// Validate reports every field that makes no sense.
func (o Objective) Validate() error {
	var errs []error
	if !(o.LabelSmoothing >= 0 && o.LabelSmoothing < 1) {
		errs = append(errs, fmt.Errorf("label smoothing is %g: want 0 or more and less than 1", o.LabelSmoothing))
	}
	if !(o.Anchor >= 0 && o.Anchor <= math.MaxFloat32) {
		errs = append(errs, fmt.Errorf("anchor is %g: want 0 (none) or more, and finite", o.Anchor))
	}
	if !(o.Noise >= 0 && o.Noise <= math.MaxFloat32) {
		errs = append(errs, fmt.Errorf("embedding noise is %g: want 0 (none) or more, and finite", o.Noise))
	}
	return errors.Join(errs...)
}

// SetObjective changes what training minimizes.
func (m *Model) SetObjective(o Objective) error {
	if err := o.Validate(); err != nil {
		return err
	}
	if o.Anchor > 0 != (m.objective.Anchor > 0) {
		m.dropActivations() // they have room for the base's hidden states, or need it
	}
	m.objective = o
	return nil
}

// ErrNoBase says that an anchor has nothing to hold on to.
var ErrNoBase = errors.New("the anchor compares with the base model, which is only there while adapters are trained beside frozen weights: use LoRA or P-Tuning, or set the anchor to 0")

// goal is the objective of a batch for the device: with an anchor, the base model
// runs over the batch first.
func (m *Model) goal(a *activations, b Batch) (device.Goal, error) {
	g := device.Goal{Smoothing: m.objective.LabelSmoothing, Anchor: m.objective.Anchor}
	if g.Anchor == 0 {
		return g, nil
	}
	for _, p := range m.params {
		if p.Trainable() && !p.isAdapter() {
			return g, ErrNoBase
		}
	}
	n := len(b.IDs) * m.cfg.HiddenSize
	m.adaptersOff = true
	m.run(a, b.IDs, m.packed(b))
	m.adaptersOff = false
	g.Base = front(a.base, n)
	m.dev.Copy(g.Base, front(a.xn, n))
	return g, nil
}

// disturb adds NEFTune's noise to the embeddings x of a batch.
func (m *Model) disturb(x device.Mem, p pass) {
	if m.objective.Noise == 0 {
		return
	}
	h := m.cfg.HiddenSize
	for i := range len(p.starts) - 1 {
		from, to := int(p.starts[i])*h, int(p.starts[i+1])*h
		if from < to {
			bound := float64(m.objective.Noise) / math.Sqrt(float64(to-from))
			m.dev.Noise(x.Slice(from, to), float32(bound), stream(m.objective.Seed, p.step, embeddingNoise+uint64(i)))
		}
	}
}
