package device

// AdamW is one step's constants (https://arxiv.org/abs/1711.05101): bias
// corrections are computed from Step, which counts from 1.
//
//	p ← p·(1 − lr·decay)    m ← β₁m + (1−β₁)g    v ← β₂v + (1−β₂)g²
//	p ← p − lr·m̂/(√v̂ + ε)   with m̂ = m/(1−β₁ᵗ) and v̂ = v/(1−β₂ᵗ)
type AdamW struct {
	LR, Beta1, Beta2, Eps, WeightDecay float32
	Step                               int
}

// SGD is one step's constants, with momentum as PyTorch has it: the decay is
// added to the gradient, and the learning rate is not part of the moment.
//
//	d = g + decay·p    m ← μm + d    p ← p − lr·m, or with Nesterov p − lr·(d + μm)
//
// Without momentum there is no m, and p ← p − lr·d.
type SGD struct {
	LR, Momentum, WeightDecay float32
	Nesterov                  bool
}

// Lion is one step's constants (Chen et al. 2023,
// https://arxiv.org/abs/2302.06675):
//
//	p ← p·(1 − lr·decay) − lr·sign(β₁m + (1−β₁)g)    m ← β₂m + (1−β₂)g
type Lion struct {
	LR, Beta1, Beta2, WeightDecay float32
}
