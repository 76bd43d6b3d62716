package finetune

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
)

// inHalves is the toy model with its matrices kept in bfloat16.
func inHalves(t *testing.T) *chatglm.Model {
	t.Helper()
	dir := t.TempDir()
	if err := toyModel(t, open(t, 1)).Save(dir); err != nil {
		t.Fatal(err)
	}
	m, err := chatglm.OpenWith(dir, open(t, 1), chatglm.OpenOptions{Weights: "bf16"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// TestWeightsInHalvesTrain: weights in bfloat16 learn what those in float32 do,
// also by steps that are smaller than their last digit, with gradients in either
// format; and a run that is interrupted ends with all 32 bits of one that is not.
func TestWeightsInHalvesTrain(t *testing.T) {
	for name, vary := range map[string]func(*Options){
		"full":                     func(o *Options) { o.Method = Full },
		"full, narrow gradients":   func(o *Options) { o.Method, o.GradientBits = Full, 16 },
		"full, 8 bits, average":    func(o *Options) { o.Method, o.GradientBits, o.OptimizerBits, o.EMA = Full, 16, 8, 0.5 },
		"freeze, average":          func(o *Options) { o.Method, o.Part.Last, o.EMA = Freeze, 1, 0.5 },
		"freeze, narrow, matrices": func(o *Options) { o.Method, o.GradientBits, o.Part.Modules = Freeze, 16, []string{"mlp"} },
	} {
		t.Run(name, func(t *testing.T) {
			o := toyOptions()
			vary(&o)
			run := func(ctx context.Context, m *chatglm.Model, o Options, h Hooks) (outcome, error) {
				r, err := Run(ctx, m, counting(24, 0, 1), counting(6, 3, 1), o, h)
				return outcome{r, trained(m)}, err
			}
			want, err := run(t.Context(), inHalves(t), o, Hooks{})
			if err != nil {
				t.Fatal(err)
			}
			alike := o
			alike.GradientBits = 32
			whole, err := run(t.Context(), toyModel(t, open(t, 1)), alike, Hooks{})
			if err != nil {
				t.Fatal(err)
			}
			gain := func(o outcome) float64 { return *o.Result.StartLoss - *o.Result.BestLoss }
			if gain(whole) < 0.1 || gain(want) < 0.9*gain(whole) {
				t.Errorf("the loss falls by %.4f, in float32 by %.4f", gain(want), gain(whole))
			}
			store := inMemory{}
			for _, stop := range []int{3, 4} {
				ctx, cancel := context.WithCancel(t.Context())
				_, err := run(ctx, inHalves(t), o, Hooks{State: store, OnStep: func(i StepInfo) {
					if i.Step == stop {
						cancel()
					}
				}})
				cancel()
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("cancelled at step %d: %v", stop, err)
				}
			}
			got, err := run(t.Context(), inHalves(t), o, Hooks{State: store})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, cmpopts.IgnoreFields(Result{}, "Resumed")); d != "" {
				t.Errorf("(-undisturbed +interrupted):\n%s", d)
			}
		})
	}
}

// TestSmallStepsAreNotLost: a step far below the last digit of a weight in
// bfloat16 is remembered in its lower half.
func TestSmallStepsAreNotLost(t *testing.T) {
	m := inHalves(t)
	o := toyOptions()
	o.Method, o.LearningRate, o.Decay, o.WarmupSteps, o.MaxSteps = Full, 1e-6, Constant, 0, 1
	if err := prepare(m, o); err != nil {
		t.Fatal(err)
	}
	before := trained(m)
	if _, err := Run(t.Context(), m, counting(24, 0, 1), nil, o, Hooks{}); err != nil {
		t.Fatal(err)
	}
	after := trained(m)
	for i, p := range m.Trainable() {
		if p.Grad.Format != device.F32 {
			t.Fatalf("the gradient of %s is in %v", p.Name, p.Grad.Format)
		}
		if p.W.Format == device.BF16 && cmp.Equal(before[i], after[i]) {
			t.Errorf("%s has not moved", p.Name)
		}
	}
}

// TestNarrowGradientsNeedHalves: where no weight in bfloat16 is trained, 16 bits
// are refused.
func TestNarrowGradientsNeedHalves(t *testing.T) {
	o := toyOptions()
	o.Method, o.GradientBits = Full, 16
	_, err := Run(t.Context(), toyModel(t, open(t, 1)), counting(4, 0, 1), nil, o, Hooks{})
	if err == nil || !strings.Contains(err.Error(), "gradient_bits is 16, which is for weights in bf16, and those that are trained are in fp32") {
		t.Errorf("error %v", err)
	}
	o.Method = LoRA
	_, err = Run(t.Context(), inHalves(t), counting(4, 0, 1), nil, o, Hooks{})
	if err == nil || !strings.Contains(err.Error(), "gradient_bits is 16: want 32 with method lora") {
		t.Errorf("error %v", err)
	}
}
