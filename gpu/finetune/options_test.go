package finetune

import (
	"math"
	"strings"
	"testing"
)

func TestOptionsNameWhatIsWrong(t *testing.T) {
	if err := DefaultOptions().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	// YAML can say infinity, a checkpoint's identity cannot.
	for field, spoil := range map[string]func(*Options){
		"lora alpha": func(o *Options) { o.LoRA.Alpha = float32(math.Inf(1)) },
		"clip_norm":  func(o *Options) { o.ClipNorm = math.Inf(1) },
		"eps":        func(o *Options) { o.Eps = math.Inf(1) },
		"epochs":     func(o *Options) { o.Epochs, o.MaxSteps = -1, 5 },
		"min_delta":  func(o *Options) { o.MinDelta = math.Inf(1) },
	} {
		o := DefaultOptions()
		spoil(&o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), field+" is ") {
			t.Errorf("%s: error %v does not name it", field, err)
		}
	}
	for field, spoil := range map[string]func(*Options){
		"method":           func(o *Options) { o.Method = "magic" },
		"freeze":           func(o *Options) { o.Method, o.Part.First = Freeze, -1 },
		"lora_plus":        func(o *Options) { o.LoRAPlus = 0 },
		"prefix tokens":    func(o *Options) { o.Method, o.Prefix.Tokens = PTuning, 0 },
		"prefix dropout":   func(o *Options) { o.Method, o.Prefix.Dropout = PTuning, 1 },
		"label_smoothing":  func(o *Options) { o.LabelSmoothing = 1 },
		"noise":            func(o *Options) { o.Noise = -1 },
		"kl":               func(o *Options) { o.Method, o.KL = Full, 0.1 },
		"gradient_bits":    func(o *Options) { o.Method, o.GradientBits = Full, 8 },
		"lora rank":        func(o *Options) { o.LoRA.Rank = 0 },
		"lora alpha":       func(o *Options) { o.LoRA.Alpha = -1 },
		"lora dropout":     func(o *Options) { o.LoRA.Dropout = 1 },
		"learning_rate":    func(o *Options) { o.LearningRate = 0 },
		"weight_decay":     func(o *Options) { o.WeightDecay = -0.1 },
		"beta1":            func(o *Options) { o.Beta1 = 1 },
		"beta2":            func(o *Options) { o.Beta2 = 2 },
		"optimizer":        func(o *Options) { o.Optimizer = "rmsprop" },
		"optimizer_bits":   func(o *Options) { o.OptimizerBits = 4 },
		"momentum":         func(o *Options) { o.Momentum = 1 },
		"nesterov":         func(o *Options) { o.Nesterov = true },
		"no_decay":         func(o *Options) { o.NoDecay = []string{"heads"} },
		"eps":              func(o *Options) { o.Eps = 0 },
		"clip_norm":        func(o *Options) { o.ClipNorm = -1 },
		"warmup_steps":     func(o *Options) { o.WarmupSteps = -1 },
		"decay":            func(o *Options) { o.Decay = "sudden" },
		"epochs":           func(o *Options) { o.Epochs = 0 },
		"max_steps":        func(o *Options) { o.MaxSteps = -1 },
		"batch_tokens":     func(o *Options) { o.BatchTokens = 0 },
		"accumulate":       func(o *Options) { o.Accumulate = 0 },
		"max_length":       func(o *Options) { o.MaxLength = -1 },
		"eval_every":       func(o *Options) { o.EvalEvery = -1 },
		"patience":         func(o *Options) { o.Patience = -1 },
		"save_every":       func(o *Options) { o.SaveEvery = -1 },
		"accumulate_by":    func(o *Options) { o.AccumulateBy = "sentences" },
		"ema":              func(o *Options) { o.EMA = 1 },
		"memory":           func(o *Options) { o.Memory = -1 },
		"metric":           func(o *Options) { o.Metric = "bleu" },
		"min_delta":        func(o *Options) { o.MinDelta = -1 },
		"keep_checkpoints": func(o *Options) { o.KeepCheckpoints = 0 },
		"max_skips":        func(o *Options) { o.MaxSkips = 0 },
	} {
		o := DefaultOptions()
		spoil(&o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), field+" is ") {
			t.Errorf("%s: error %v does not name it", field, err)
		}
	}
}
