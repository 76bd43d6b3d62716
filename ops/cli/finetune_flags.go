package cli

import (
	"github.com/spf13/pflag"

	"github.com/glmflow/glmflow/gpu/finetune"
)

// addTrainingFlags adds those flags that say how to train, whatever the method.
func addTrainingFlags(flags *pflag.FlagSet, o *finetune.Options, noShuffle *bool) {
	flags.Float64Var(&o.LearningRate, "lr", o.LearningRate, "peak learning rate")
	flags.IntVar(&o.WarmupSteps, "warmup", o.WarmupSteps, "steps in which the learning rate rises to its peak")
	flags.StringVar(&o.Decay, "decay", o.Decay, "how it falls afterwards: linear, cosine or constant")
	flags.StringVar(&o.Optimizer, "optimizer", o.Optimizer, "adamw, sgd, or lion (which wants a --lr three to ten times smaller)")
	flags.IntVar(&o.OptimizerBits, "optimizer-bits", o.OptimizerBits, "bits of a number that the optimizer remembers: 32, or 8 to save memory")
	flags.IntVar(&o.GradientBits, "gradient-bits", o.GradientBits, "bits of a number of a gradient of weights that are kept in bf16: 32, or 16 to save memory")
	flags.Float64Var(&o.Beta1, "beta1", o.Beta1, "decay of the first moment of adamw and lion")
	flags.Float64Var(&o.Beta2, "beta2", o.Beta2, "decay of the second; 0 means 0.999 for adamw and 0.99 for lion")
	flags.Float64Var(&o.Eps, "eps", o.Eps, "epsilon of adamw")
	flags.Float64Var(&o.Momentum, "momentum", o.Momentum, "momentum of sgd; 0 has none")
	flags.BoolVar(&o.Nesterov, "nesterov", o.Nesterov, "Nesterov's momentum, of sgd")
	flags.Float64Var(&o.WeightDecay, "weight-decay", o.WeightDecay, "weight decay: decoupled, but added to the gradient by sgd")
	flags.StringSliceVar(&o.NoDecay, "no-decay", o.NoDecay, "what is not decayed: norms, biases, embeddings")
	flags.Float64Var(&o.EMA, "ema", o.EMA, "decay of a moving average of the weights, such as 0.999, which then is what is validated and written; 0 has none")
	flags.Float64Var(&o.ClipNorm, "clip", o.ClipNorm, "largest gradient norm; 0 does not clip")
	flags.IntVar(&o.Epochs, "epochs", o.Epochs, "passes over the data")
	flags.IntVar(&o.MaxSteps, "max-steps", o.MaxSteps, "optimizer steps, whatever --epochs says; 0 leaves it to --epochs")
	flags.IntVar(&o.BatchTokens, "batch-tokens", o.BatchTokens, "tokens packed into a micro-batch")
	flags.IntVar(&o.Accumulate, "accumulate", o.Accumulate, "micro-batches a step")
	flags.StringVar(&o.AccumulateBy, "accumulate-by", o.AccumulateBy, "what weighs alike in a step: tokens, or batches as in the original scripts")
	flags.Var(&o.Memory, "memory", "what training may take, such as 8GiB: what does not fit is computed twice; 0 does not limit")
	flags.Uint64Var(&o.Seed, "seed", o.Seed, "of order, dropout, noise and new adapters")
	flags.BoolVar(noShuffle, "no-shuffle", false, "keep the file's order")
	flags.IntVar(&o.EvalEvery, "eval-every", o.EvalEvery, "steps between validations; 0 validates before and after only")
	flags.StringVar(&o.Metric, "metric", o.Metric, "of validation, by which weights are the best: loss, perplexity or accuracy")
	flags.IntVar(&o.Patience, "patience", o.Patience, "validations without improvement before stopping early; 0 never does")
	flags.Float64Var(&o.MinDelta, "min-delta", o.MinDelta, "least change of --metric that counts as an improvement for --patience")
	flags.IntVar(&o.SaveEvery, "save-every", o.SaveEvery, "steps between checkpoints; 0 saves when interrupted only")
	flags.IntVar(&o.KeepCheckpoints, "keep-checkpoints", o.KeepCheckpoints, "checkpoints that are kept, the newest")
	flags.IntVar(&o.MaxSkips, "max-skips", o.MaxSkips, "steps in a row whose loss or gradient is not finite before giving up")
}
