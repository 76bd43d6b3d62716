package finetune

import (
	"fmt"
	"slices"
)

// Warnings are what is allowed and seldom meant, as sentences.
func (o Options) Warnings() []string {
	var all []string
	warn := func(is bool, format string, args ...any) {
		if is {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	warn(o.Method == PTuning && o.LearningRate < 1e-3,
		"a learning rate of %g hardly moves a prefix, whose numbers begin at about 1: 5e-3 to 2e-2 is usual", o.LearningRate)
	warn(o.Method == LoRA && o.LearningRate > 5e-3,
		"a learning rate of %g is high for LoRA and may undo what the model knows: 5e-5 to 1e-3 is usual", o.LearningRate)
	return all
}

// warnings are those of the options, and of what they mean for this data and
// this model.
func (r *run) warnings() []string {
	all := r.options.Warnings()
	if warmup, total := r.options.WarmupSteps, r.plan.total; warmup > total {
		all = append(all, fmt.Sprintf("warmup_steps is %d and the training has %d: the learning rate ends at %.3g and never reaches learning_rate %g; set warmup_steps lower, or train longer",
			warmup, total, r.options.LearningRate*r.schedule.At(total-1), r.options.LearningRate))
	}
	context := r.model.Config().SeqLength
	for _, set := range []struct {
		name     string
		examples []Example
	}{{"training", r.data.train}, {"validation", r.data.held}} {
		sizes := lengths(set.examples)
		sizes = slices.DeleteFunc(sizes, func(n int) bool { return n <= context })
		if len(sizes) > 0 {
			all = append(all, fmt.Sprintf("%d of %d %s conversations are longer than the %d tokens that the model was made for, the longest has %d: set max_length to %d, unless it is to learn the positions beyond",
				len(sizes), len(set.examples), set.name, context, slices.Max(sizes), context))
		}
	}
	return all
}
