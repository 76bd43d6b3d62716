package finetune

import "github.com/glmflow/glmflow/gpu/chatglm"

// Ways in which the learning rate falls after warm-up.
const (
	Constant = "constant"
	Linear   = "linear"
	Cosine   = "cosine"
)

// What is weighed alike in the gradient of a step.
const (
	ByTokens  = "tokens"  // every supervised token of the step
	ByBatches = "batches" // every micro-batch, whatever its number of tokens
)

// Options say how to train. Start from [DefaultOptions]: except where a field
// says what 0 means, 0 is taken as it stands.
type Options struct {
	Method   string               `json:"method" yaml:"method"`       // "lora", "ptuning", "freeze" or "full". Default "lora".
	LoRA     chatglm.LoRAConfig   `json:"lora" yaml:"lora"`           // with method lora. Default rank 8, alpha 32, dropout 0.1 on query_key_value.
	LoRAPlus float64              `json:"lora_plus" yaml:"lora_plus"` // with method lora: B's learning rate is so many times A's (LoRA+, Hayou et al. 2024, https://arxiv.org/abs/2402.12354). Default 1.
	Prefix   chatglm.PrefixConfig `json:"prefix" yaml:"prefix"`       // with method ptuning. Default 128 tokens, no projection, dropout 0.1.
	Part     chatglm.Part         `json:"freeze" yaml:"freeze"`       // with method freeze: what is trained. Default, where it chooses nothing: the last 2 layers.

	LabelSmoothing float64 `json:"label_smoothing" yaml:"label_smoothing"` // share of a target's probability that is wanted evenly on the whole vocabulary. Default 0.
	KL             float64 `json:"kl" yaml:"kl"`                           // λ of λ·KL(base‖tuned) at every target, against forgetting; with methods lora and ptuning. Default 0.
	Noise          float64 `json:"noise" yaml:"noise"`                     // α of NEFTune: noise in ±α/√(tokens·width) on the embeddings of a conversation; 5 is usual. Default 0.

	LearningRate  float64  `json:"learning_rate" yaml:"learning_rate"`   // peak, after warm-up. Default 5e-5.
	Optimizer     string   `json:"optimizer" yaml:"optimizer"`           // "adamw", "sgd" or "lion". Default "adamw".
	OptimizerBits int      `json:"optimizer_bits" yaml:"optimizer_bits"` // of a number that the optimizer remembers: 32, or 8 in tensors of 4096 weights or more. Default 32.
	GradientBits  int      `json:"gradient_bits" yaml:"gradient_bits"`   // of a number of a gradient of weights that are kept in bfloat16: 32, or 16 for half the memory, every sum of micro-batches rounded. Default 32.
	Beta1         float64  `json:"beta1" yaml:"beta1"`                   // of adamw and lion: share of the direction that is kept. Default 0.9.
	Beta2         float64  `json:"beta2" yaml:"beta2"`                   // of adamw and lion: the same for the long run; 0 means 0.999 for adamw, 0.99 for lion. Default 0.
	Eps           float64  `json:"eps" yaml:"eps"`                       // of adamw. Default 1e-8.
	Momentum      float64  `json:"momentum" yaml:"momentum"`             // of sgd; 0 has none. Default 0.9.
	Nesterov      bool     `json:"nesterov" yaml:"nesterov"`             // of sgd: Nesterov's momentum. Default false.
	WeightDecay   float64  `json:"weight_decay" yaml:"weight_decay"`     // a step; decoupled, but added to the gradient by sgd. Default 0.
	NoDecay       []string `json:"no_decay" yaml:"no_decay"`             // what is not decayed, of "norms", "biases" and "embeddings". Default norms and biases.
	ClipNorm      float64  `json:"clip_norm" yaml:"clip_norm"`           // largest global gradient norm; 0 does not clip. Default 1.
	WarmupSteps   int      `json:"warmup_steps" yaml:"warmup_steps"`     // steps of linear rise to LearningRate. Default 0.
	Decay         string   `json:"decay" yaml:"decay"`                   // "linear" or "cosine" to zero at the last step, or "constant". Default "linear".

	EMA float64 `json:"ema" yaml:"ema"` // decay of a moving average of the weights, which then is what is validated and kept; 0 has none. Default 0.

	Epochs       int    `json:"epochs" yaml:"epochs"`               // passes over the data. Default 3.
	MaxSteps     int    `json:"max_steps" yaml:"max_steps"`         // optimizer steps, whatever Epochs says; 0 leaves it to Epochs. Default 0.
	BatchTokens  int    `json:"batch_tokens" yaml:"batch_tokens"`   // tokens packed into a micro-batch; a longer conversation gets one to itself. Default 2048.
	Accumulate   int    `json:"accumulate" yaml:"accumulate"`       // micro-batches a step. Default 1.
	AccumulateBy string `json:"accumulate_by" yaml:"accumulate_by"` // what weighs alike in a step: "tokens", or "batches" for the mean of the micro-batches' means, as the original scripts have it. Default "tokens".
	MaxLength    int    `json:"max_length" yaml:"max_length"`       // tokens of a conversation that are used, from its start; 0 uses all. Default 0.
	Memory       Bytes  `json:"memory" yaml:"memory"`               // what training may take in all, such as "8GiB": activations that do not fit are computed twice; 0 does not limit. Default 0.
	Seed         uint64 `json:"seed" yaml:"seed"`                   // of order, dropout, noise and new adapters. Default 42.
	Shuffle      bool   `json:"shuffle" yaml:"shuffle"`             // another order in each epoch; false keeps the given one. Default true.

	EvalEvery       int     `json:"eval_every" yaml:"eval_every"`             // steps between validations; 0 validates at the start and the end only. Default 50.
	Metric          string  `json:"metric" yaml:"metric"`                     // of validation, by which weights are the best: "loss", "perplexity" (both small) or "accuracy" (large). Default "loss".
	Patience        int     `json:"patience" yaml:"patience"`                 // validations in a row without improvement before stopping; 0 never stops early. Default 0.
	MinDelta        float64 `json:"min_delta" yaml:"min_delta"`               // least change of the metric that counts as an improvement for Patience. Default 0.
	SaveEvery       int     `json:"save_every" yaml:"save_every"`             // steps between checkpoints; 0 saves on cancellation only. Default 50.
	KeepCheckpoints int     `json:"keep_checkpoints" yaml:"keep_checkpoints"` // checkpoints that are kept, the newest. Default 2.
	MaxSkips        int     `json:"max_skips" yaml:"max_skips"`               // steps in a row whose loss or gradient is not finite before giving up. Default 5.
}

// DefaultOptions are those of ChatGLM3's own LoRA configuration, with token
// packing in place of its fixed number of conversations a batch.
func DefaultOptions() Options {
	return Options{
		Method:          LoRA,
		LoRA:            chatglm.LoRAConfig{Rank: 8, Alpha: 32, Dropout: 0.1},
		LoRAPlus:        1,
		Prefix:          chatglm.PrefixConfig{Tokens: 128, Dropout: 0.1},
		LearningRate:    5e-5,
		Optimizer:       AdamW,
		OptimizerBits:   32,
		GradientBits:    32,
		Beta1:           0.9,
		Eps:             1e-8,
		Momentum:        0.9,
		NoDecay:         []string{Norms, Biases},
		ClipNorm:        1,
		Decay:           Linear,
		Epochs:          3,
		BatchTokens:     2048,
		Accumulate:      1,
		AccumulateBy:    ByTokens,
		Seed:            42,
		Shuffle:         true,
		EvalEvery:       50,
		Metric:          Loss,
		SaveEvery:       50,
		KeepCheckpoints: 2,
		MaxSkips:        5,
	}
}
