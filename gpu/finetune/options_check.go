package finetune

import (
	"errors"
	"fmt"
	"math"
)

// Validate reports every field that makes no sense, by its JSON name.
func (o Options) Validate() error {
	var errs []error
	check := func(ok bool, field string, value any, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s is %v: want %s", field, value, want))
		}
	}
	o.checkMethod(check)
	check(o.LearningRate > 0 && o.LearningRate <= 1, "learning_rate", o.LearningRate, "more than 0 and at most 1")
	check(o.Optimizer == AdamW || o.Optimizer == SGD || o.Optimizer == Lion, "optimizer", o.Optimizer, `"adamw", "sgd" or "lion"`)
	check(o.OptimizerBits == 32 || o.OptimizerBits == 8, "optimizer_bits", o.OptimizerBits, "32 or 8")
	check(o.GradientBits == 32 || o.GradientBits == 16, "gradient_bits", o.GradientBits, "32 or 16")
	check(o.GradientBits == 32 || Whole(o.Method), "gradient_bits", o.GradientBits, fmt.Sprintf("32 with method %s, whose adapters are in float32", o.Method))
	check(o.Momentum >= 0 && o.Momentum < 1, "momentum", o.Momentum, "0 or more and less than 1")
	check(!o.Nesterov || o.Optimizer == SGD && o.Momentum > 0, "nesterov", o.Nesterov, "false without the momentum of sgd")
	for _, kind := range o.NoDecay {
		check(kind == Norms || kind == Biases || kind == Embeddings, "no_decay", kind, `"norms", "biases" or "embeddings"`)
	}
	check(o.WeightDecay >= 0 && o.WeightDecay < 1, "weight_decay", o.WeightDecay, "0 or more and less than 1")
	check(o.Beta1 >= 0 && o.Beta1 < 1, "beta1", o.Beta1, "0 or more and less than 1")
	check(o.Beta2 >= 0 && o.Beta2 < 1, "beta2", o.Beta2, "0 or more and less than 1")
	check(o.Eps > 0 && o.Eps <= 1, "eps", o.Eps, "more than 0 and at most 1")
	check(o.Decay == Constant || o.Decay == Linear || o.Decay == Cosine, "decay", o.Decay, `"linear", "cosine" or "constant"`)
	check(o.Epochs > 0 || o.Epochs == 0 && o.MaxSteps > 0, "epochs", o.Epochs, "1 or more, or 0 with max_steps")
	check(o.BatchTokens > 0, "batch_tokens", o.BatchTokens, "1 or more")
	check(o.Accumulate > 0, "accumulate", o.Accumulate, "1 or more")
	check(o.AccumulateBy == ByTokens || o.AccumulateBy == ByBatches, "accumulate_by", o.AccumulateBy, `"tokens" or "batches"`)
	check(o.EMA >= 0 && o.EMA < 1, "ema", o.EMA, "0 (none) or more and less than 1")
	check(o.Memory >= 0, "memory", int64(o.Memory), "0 (no limit) or more")
	check(o.Metric == Loss || o.Metric == Perplexity || o.Metric == Accuracy, "metric", o.Metric, `"loss", "perplexity" or "accuracy"`)
	check(o.MinDelta >= 0 && o.MinDelta <= math.MaxFloat64, "min_delta", o.MinDelta, "0 or more, and finite")
	check(o.KeepCheckpoints > 0 && o.KeepCheckpoints <= maxSlots, "keep_checkpoints", o.KeepCheckpoints, "1 to 100")
	check(o.MaxSkips > 0, "max_skips", o.MaxSkips, "1 or more")
	check(o.ClipNorm >= 0 && o.ClipNorm <= math.MaxFloat64, "clip_norm", o.ClipNorm, "0 (no clipping) or more, and finite")
	for _, f := range []struct {
		name  string
		value int
	}{
		{"warmup_steps", o.WarmupSteps}, {"max_steps", o.MaxSteps}, {"max_length", o.MaxLength},
		{"eval_every", o.EvalEvery}, {"patience", o.Patience}, {"save_every", o.SaveEvery},
	} {
		check(f.value >= 0, f.name, f.value, "0 or more")
	}
	return errors.Join(errs...)
}
