package finetune

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestWarningsOfOptions(t *testing.T) {
	for method, rates := range map[string][2]float64{PTuning: {5e-5, 1e-2}, LoRA: {2e-2, 1e-4}} {
		o := DefaultOptions()
		o.Method = method
		if o.LearningRate = rates[0]; len(o.Warnings()) != 1 {
			t.Errorf("%s at %g: %q", method, rates[0], o.Warnings())
		}
		if o.LearningRate = rates[1]; len(o.Warnings()) != 0 {
			t.Errorf("%s at %g: %q", method, rates[1], o.Warnings())
		}
	}
}

// TestWarningsOfARun: what only data, plan and model together show is said with
// its numbers, and nothing is said at the limit itself.
func TestWarningsOfARun(t *testing.T) {
	long := func(n int) []Example {
		e := Example{ID: "long", IDs: make([]int32, n), Labels: make([]int32, n)}
		return append(counting(6, 0, 1), e)
	}
	context := toyConfig().SeqLength
	for name, c := range map[string]struct {
		train, held []Example
		vary        func(*Options)
		want        string // "" wants no warning
	}{
		"as long as the context": {long(context), long(context), func(*Options) {}, ""},
		"longer":                 {long(context + 6), nil, func(*Options) {}, "1 of 7 training conversations are longer than the 64 tokens that the model was made for, the longest has 70: set max_length to 64"},
		"longer to validate on":  {long(9), long(context + 1), func(*Options) {}, "1 of 7 validation conversations are longer than the 64 tokens that the model was made for, the longest has 65"},
		"longer, and cut":        {long(context + 6), nil, func(o *Options) { o.MaxLength = context }, ""},
		"warm-up to the end":     {long(9), nil, func(o *Options) { o.WarmupSteps = o.MaxSteps }, ""},
		"warm-up beyond":         {long(9), nil, func(o *Options) { o.WarmupSteps = 8 }, "warmup_steps is 8 and the training has 4: the learning rate ends at 0.0005 and never reaches learning_rate 0.001"},
	} {
		t.Run(name, func(t *testing.T) {
			o := toyOptions()
			o.LearningRate, o.MaxSteps, o.WarmupSteps = 1e-3, 4, 0
			c.vary(&o)
			var said bytes.Buffer
			if _, err := Run(t.Context(), toyModel(t, open(t, 1)), c.train, c.held, o, Hooks{Log: slog.New(slog.NewTextHandler(&said, nil))}); err != nil {
				t.Fatal(err)
			}
			warned := strings.Contains(said.String(), "level=WARN")
			if warned != (c.want != "") || !strings.Contains(said.String(), c.want) {
				t.Errorf("said %q, want %q", said.String(), c.want)
			}
		})
	}
}
