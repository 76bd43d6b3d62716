package finetune

import (
	"slices"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/optim"
)

// Optimizers.
const (
	AdamW = "adamw"
	SGD   = "sgd"
	Lion  = "lion"
)

// Kinds of parameters that weight decay may leave out.
const (
	Norms      = "norms"
	Biases     = "biases"
	Embeddings = "embeddings" // of words; the output layer is none
)

// rule is the optimizer that the options name.
func (o Options) rule() optim.Rule {
	beta2 := func(usual float64) float32 {
		if o.Beta2 != 0 {
			usual = o.Beta2
		}
		return float32(usual)
	}
	switch o.Optimizer {
	case SGD:
		return optim.SGD{Momentum: float32(o.Momentum), Nesterov: o.Nesterov}
	case Lion:
		return optim.Lion{Beta1: float32(o.Beta1), Beta2: beta2(0.99)}
	}
	return optim.AdamW{Beta1: float32(o.Beta1), Beta2: beta2(0.999), Eps: float32(o.Eps)}
}

// groups are the trainable weights of a model in groups that are updated alike.
func (o Options) groups(model *chatglm.Model) []optim.Group {
	return optim.Groups(model, o.setting, o.OptimizerBits)
}

// setting says how a weight is updated.
func (o Options) setting(p *chatglm.Param) optim.Setting {
	s := optim.Setting{Rate: 1}
	if p.IsLoRAB() {
		s.Rate = float32(o.LoRAPlus)
	}
	if !slices.Contains(o.NoDecay, kind(p)) {
		s.Decay = float32(o.WeightDecay)
	}
	return s
}

// kind is what weight decay calls a parameter, "" for the matrices of linears
// and adapters.
func kind(p *chatglm.Param) string {
	switch {
	case p.IsBias():
		return Biases
	case len(p.Shape) == 1:
		return Norms
	case p.IsEmbedding():
		return Embeddings
	}
	return ""
}
