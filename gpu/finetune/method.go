package finetune

import (
	"fmt"
	"math"
	"slices"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
)

// Methods of fine-tuning.
const (
	LoRA    = "lora"    // low-rank adapters beside frozen weights
	PTuning = "ptuning" // keys and values before every conversation, P-Tuning v2
	Freeze  = "freeze"  // some layers or modules, the others stay frozen
	Full    = "full"    // every weight
)

// Whole reports whether a method changes the weights of the model itself: then
// the outcome is a whole checkpoint and no adapter.
func Whole(method string) bool { return method == Full || method == Freeze }

// checkMethod validates the method and what belongs to it.
func (o Options) checkMethod(check func(ok bool, field string, value any, want string)) {
	switch o.Method {
	case LoRA:
		check(o.LoRA.Rank > 0, "lora rank", o.LoRA.Rank, "1 or more")
		check(o.LoRA.Alpha > 0 && o.LoRA.Alpha <= math.MaxFloat32, "lora alpha", o.LoRA.Alpha, "more than 0")
		check(o.LoRA.Dropout >= 0 && o.LoRA.Dropout < 1, "lora dropout", o.LoRA.Dropout, "0 or more and less than 1")
		check(o.LoRAPlus > 0 && o.LoRAPlus <= 1e6, "lora_plus", o.LoRAPlus, "more than 0 (1 trains both matrices alike)")
	case PTuning:
		check(o.Prefix.Tokens > 0, "prefix tokens", o.Prefix.Tokens, "1 or more")
		check(o.Prefix.Dropout >= 0 && o.Prefix.Dropout < 1, "prefix dropout", o.Prefix.Dropout, "0 or more and less than 1")
	case Freeze:
		err := o.part().Validate()
		check(err == nil, "freeze", fmt.Sprintf("%+v", o.Part), fmt.Sprint("something else: ", err))
	case Full:
	default:
		check(false, "method", o.Method, `"lora", "ptuning", "freeze" or "full"`)
	}
	check(o.LabelSmoothing >= 0 && o.LabelSmoothing < 1, "label_smoothing", o.LabelSmoothing, "0 or more and less than 1")
	check(o.Noise >= 0 && o.Noise <= math.MaxFloat32, "noise", o.Noise, "0 (none) or more, and finite")
	check(o.KL >= 0 && o.KL <= math.MaxFloat32, "kl", o.KL, "0 (none) or more, and finite")
	check(o.KL == 0 || !Whole(o.Method), "kl", o.KL,
		fmt.Sprintf("0 with method %s: it compares with the base model, which is only there beside adapters", o.Method))
}

// part is what method freeze trains.
func (o Options) part() chatglm.Part {
	if p := o.Part; p.First != 0 || p.Last != 0 || len(p.Modules) > 0 {
		return p
	}
	return chatglm.Part{Last: 2}
}

// objective is what training minimizes.
func (o Options) objective() chatglm.Objective {
	return chatglm.Objective{LabelSmoothing: float32(o.LabelSmoothing), KL: float32(o.KL), Noise: float32(o.Noise), Seed: o.Seed}
}

// gradientFormat is that of the gradients of weights in bfloat16.
func (o Options) gradientFormat() device.Format {
	if o.GradientBits == 16 {
		return device.BF16
	}
	return device.F32
}

// checkGradients finds that gradients were to be narrow and none is.
func (o Options) checkGradients(model *chatglm.Model) error {
	halves := func(p *chatglm.Param) bool { return p.Grad.Format == device.BF16 }
	if o.GradientBits != 16 || slices.ContainsFunc(model.Trainable(), halves) {
		return nil
	}
	return fmt.Errorf("gradient_bits is 16, which is for weights in bf16, and those that are trained are in %s: open the model with weights bf16, or set gradient_bits to 32", model.Weights())
}

// prepare makes trainable what the method trains. An adapter that the model has
// is trained on; otherwise there is a new one.
func prepare(model *chatglm.Model, o Options) error {
	_, lora := model.LoRA()
	_, prefix := model.Prefix()
	if o.Method == LoRA && prefix || o.Method == PTuning && lora {
		return fmt.Errorf("the model has an adapter of another kind, method %s would train both: remove it first", o.Method)
	}
	if err := model.TrainIn(o.gradientFormat()); err != nil {
		return err
	}
	switch o.Method {
	case Full:
		return model.TrainAll()
	case Freeze:
		return model.TrainPart(o.part())
	case PTuning:
		if !prefix {
			return model.AddPrefix(o.Prefix, o.Seed)
		}
		if err := model.SetDropout(o.Prefix.Dropout, o.Seed); err != nil {
			return err
		}
	default:
		if !lora {
			return model.AddLoRA(o.LoRA, o.Seed)
		}
		if err := model.SetDropout(o.LoRA.Dropout, o.Seed); err != nil {
			return err
		}
	}
	return model.TrainAdapters()
}
