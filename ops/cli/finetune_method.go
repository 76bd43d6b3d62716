package cli

import (
	"slices"

	"github.com/spf13/pflag"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/finetune"
)

// addMethodFlags adds those flags that say what is trained, and towards what. Those of
// one method begin with its name.
func addMethodFlags(flags *pflag.FlagSet, o *finetune.Options) {
	flags.StringVar(&o.Method, "method", o.Method, "what to train: lora (adapters beside the weights), ptuning (keys and values before every conversation: P-Tuning v2), freeze (some layers or modules) or full (every weight)")
	flags.IntVar(&o.LoRA.Rank, "lora-rank", o.LoRA.Rank, "rank of the adapters")
	flags.Float32Var(&o.LoRA.Alpha, "lora-alpha", o.LoRA.Alpha, "the adapters' output is scaled by alpha/rank")
	flags.Float32Var(&o.LoRA.Dropout, "lora-dropout", o.LoRA.Dropout, "dropout on the adapters' input")
	flags.StringSliceVar(&o.LoRA.Targets, "lora-targets", []string{"query_key_value"}, "layers that get an adapter: query_key_value, dense, dense_h_to_4h, dense_4h_to_h")
	flags.BoolVar(&o.LoRA.RSLoRA, "lora-rs", o.LoRA.RSLoRA, "scale by alpha/√rank instead (rsLoRA), for ranks of 64 and more")
	flags.Float64Var(&o.LoRAPlus, "lora-plus", o.LoRAPlus, "learning rate of the second matrix over that of the first (LoRA+): 16 is usual, 1 is plain LoRA")
	flags.IntVar(&o.Prefix.Tokens, "ptuning-tokens", o.Prefix.Tokens, "positions of the prefix")
	flags.BoolVar(&o.Prefix.Projection, "ptuning-projection", o.Prefix.Projection, "make the prefix by a two-layer network: more to train, sometimes steadier")
	flags.Float32Var(&o.Prefix.Dropout, "ptuning-dropout", o.Prefix.Dropout, "dropout on the prefix")
	flags.IntVar(&o.Part.Last, "freeze-all-but-last", o.Part.Last, "train that many layers next to the output; 2 where nothing is chosen")
	flags.IntVar(&o.Part.First, "freeze-all-but-first", o.Part.First, "train that many layers next to the embedding")
	flags.StringSliceVar(&o.Part.Modules, "freeze-all-but-modules", o.Part.Modules, "train what has one of these in its name: mlp, self_attention, dense, layers.3, output_layer, …; within the chosen layers, if any")
	flags.Float64Var(&o.LabelSmoothing, "label-smoothing", o.LabelSmoothing, "share of a target's probability that is wanted evenly on the whole vocabulary; 0.1 is usual")
	flags.Float64Var(&o.KL, "kl", o.KL, "weight of KL(base‖tuned), against forgetting; with lora and ptuning, 0.1 to 1 is usual")
	flags.Float64Var(&o.Noise, "noise", o.Noise, "uniform noise on the embeddings (NEFTune's α), against learning by heart; 5 is usual")
}

// checkMethodFlags finds flags of one method given to another, and those that
// make no sense together with --adapter.
func (f *finetuneFlags) checkMethodFlags(flags *pflag.FlagSet) error {
	o := f.options
	foreign := ""
	flags.Visit(func(flag *pflag.Flag) {
		for _, method := range []string{finetune.LoRA, finetune.PTuning, finetune.Freeze} {
			if len(flag.Name) > len(method) && flag.Name[:len(method)+1] == method+"-" && o.Method != method {
				foreign = flag.Name
			}
		}
	})
	if foreign != "" {
		return usagef("--%s does nothing with --method %s", foreign, o.Method)
	}
	if f.adapter == "" {
		return nil
	}
	if finetune.Whole(o.Method) {
		return usagef("--adapter goes with --method lora or ptuning: the others train the model itself")
	}
	fixed := []string{"lora-rank", "lora-alpha", "lora-targets", "lora-rs", "ptuning-tokens", "ptuning-projection"}
	if i := slices.IndexFunc(fixed, flags.Changed); i >= 0 {
		return usagef("--%s is for new adapters: that of --adapter stays as it is", fixed[i])
	}
	kind, err := chatglm.AdapterKind(f.adapter)
	if err != nil {
		return err
	}
	if kind != "" && kind != o.Method {
		return usagef("--adapter %s is one of method %s: give --method %s", f.adapter, kind, kind)
	}
	return nil
}
