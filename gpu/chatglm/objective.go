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
	// KL λ adds λ·KL(reference‖tuned) at every target, where the reference is the
	// model with its adapters switched off: what was learned before costs something
	// to forget. A step takes about half as long again.
	KL float32
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
	if !(o.KL >= 0 && o.KL <= math.MaxFloat32) {
		errs = append(errs, fmt.Errorf("kl is %g: want 0 (none) or more, and finite", o.KL))
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
	if o.KL > 0 != (m.objective.KL > 0) {
		m.dropBuffers() // they have room for the reference's hidden states, or need it
	}
	m.objective = o
	return nil
}

// ErrNoReference says that there is no model to stay near to.
var ErrNoReference = errors.New("kl compares with the base model, which is only there while adapters are trained beside frozen weights: use LoRA or P-Tuning, or set kl to 0")

// aim is the objective of a pass for the device: with a KL term, the reference
// runs over the batch first.
func (m *Model) aim(p *pass) (device.Objective, error) {
	o := device.Objective{Smoothing: m.objective.LabelSmoothing, KL: m.objective.KL}
	if o.KL == 0 {
		return o, nil
	}
	for _, p := range m.params {
		if p.Trainable() && !p.isAdapter() {
			return o, ErrNoReference
		}
	}
	reference := *p
	reference.train = false
	m.adaptersOff = true
	m.run(&reference)
	m.adaptersOff = false
	o.Reference = p.reference
	m.dev.Copy(o.Reference, p.xn)
	return o, nil
}
