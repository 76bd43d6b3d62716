package finetune

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/cpu"
)

// methodOptions are toyOptions for every method, with all that goes with it.
func methodOptions() map[string]Options {
	all := map[string]Options{}
	add := func(name string, change func(*Options)) {
		o := toyOptions()
		change(&o)
		all[name] = o
	}
	add("full", func(o *Options) { o.Method = Full })
	add("full, noise, smoothed", func(o *Options) { o.Method, o.Noise, o.LabelSmoothing = Full, 1, 0.05 })
	add("freeze", func(o *Options) { o.Method, o.Part.Last = Freeze, 1 })
	add("freeze mlps", func(o *Options) { o.Method, o.Part.Modules = Freeze, []string{"mlp"} })
	add("lora", func(o *Options) {})
	add("lora, everything", func(o *Options) {
		o.LoRA.Targets, o.LoRA.RSLoRA, o.LoRAPlus, o.KL, o.Noise, o.LabelSmoothing = []string{"dense", "dense_4h_to_h"}, true, 4, 0.01, 1, 0.05
	})
	add("ptuning", func(o *Options) { o.Method, o.Prefix.Tokens, o.LearningRate = PTuning, 4, 0.1 })
	add("ptuning, projected, kl", func(o *Options) {
		o.Method, o.KL, o.Prefix = PTuning, 0.01, chatglm.PrefixConfig{Tokens: 3, Projection: true, Dropout: 0.1}
	})
	return all
}

// TestEveryMethodLearns teaches a model that can count up to count down: the
// loss on what it was not trained on falls by a third at least.
func TestEveryMethodLearns(t *testing.T) {
	teacher := toyModel(t, open(t, 0))
	up := toyOptions()
	up.Method, up.MaxSteps, up.BatchTokens = Full, 60, 64
	if _, err := Run(t.Context(), teacher, counting(24, 0, 1), nil, up, Hooks{}); err != nil {
		t.Fatal(err)
	}
	taught := t.TempDir()
	if err := teacher.Save(taught); err != nil {
		t.Fatal(err)
	}
	for name, o := range methodOptions() {
		t.Run(name, func(t *testing.T) {
			m, err := chatglm.Open(taught, open(t, 0))
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			o.MaxSteps, o.EvalEvery = 80, 10
			held := counting(6, 3, -1)
			r, err := Run(t.Context(), m, counting(24, 0, -1), held, o, Hooks{})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d weights, validation loss %.3f → %.3f", r.Trainable, *r.StartLoss, *r.BestLoss)
			if *r.BestLoss > *r.StartLoss*2/3 {
				t.Errorf("validation loss %.3f → %.3f", *r.StartLoss, *r.BestLoss)
			}
			if got := meanLoss(t, m, held); math.Abs(got-*r.BestLoss) > 1e-6 {
				t.Errorf("the model's loss is %.6f, the result says %.6f", got, *r.BestLoss)
			}
		})
	}
}

// TestEveryMethodResumes interrupts each method half-way, on the C device and
// with another number of workers: the end is the same to the bit.
func TestEveryMethodResumes(t *testing.T) {
	for name, o := range methodOptions() {
		t.Run(name, func(t *testing.T) {
			train := func(ctx context.Context, workers int, h Hooks) (outcome, error) {
				dev, err := cpu.Open(device.Options{Workers: workers})
				if errors.Is(err, cpu.ErrNotBuilt) {
					t.Skip(err)
				}
				if err != nil {
					t.Fatal(err)
				}
				defer dev.Close()
				m := toyModel(t, dev)
				r, err := Run(ctx, m, counting(24, 0, 1), counting(6, 3, 1), o, h)
				weights := trained(m)
				m.Close()
				return outcome{r, weights}, err
			}
			want, err := train(t.Context(), 1, Hooks{})
			if err != nil {
				t.Fatal(err)
			}
			store := inMemory{}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, err = train(ctx, 2, Hooks{State: store, OnStep: func(i StepInfo) {
				if i.Step == 5 {
					cancel()
				}
			}})
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("cancelled at step 5: %v", err)
			}
			got, err := train(t.Context(), 3, Hooks{State: store})
			if err != nil {
				t.Fatal(err)
			}
			if got.Result.Resumed != 5 {
				t.Errorf("went on from step %d, want 5", got.Result.Resumed)
			}
			if d := cmp.Diff(want, got, cmpopts.IgnoreFields(Result{}, "Resumed")); d != "" {
				t.Errorf("(-undisturbed +interrupted):\n%s", d)
			}
		})
	}
}

// TestOtherOptionsAreAnotherRun: what decides a method's course is part of a
// checkpoint's identity.
func TestOtherOptionsAreAnotherRun(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"lora_plus": func(o *Options) { o.LoRAPlus = 2 }, "rslora": func(o *Options) { o.LoRA.RSLoRA = true },
		"noise": func(o *Options) { o.Noise = 1 }, "kl": func(o *Options) { o.KL = 1 }, "smoothing": func(o *Options) { o.LabelSmoothing = 0.1 },
		"dropout": func(o *Options) { o.LoRA.Dropout = 0.2 },
		"ptuning": func(o *Options) { o.Method = PTuning }, "freeze": func(o *Options) { o.Method = Freeze },
	} {
		store, o := inMemory{}, toyOptions()
		for attempt := range 2 {
			o.MaxSteps = 2
			r, err := Run(t.Context(), toyModel(t, open(t, 1)), counting(4, 0, 1), nil, o, Hooks{State: store, Overwrite: true})
			if err != nil {
				t.Fatal(err)
			}
			if attempt == 1 && r.Resumed != 0 {
				t.Errorf("%s: the checkpoint of other options was used", name)
			}
			change(&o)
		}
	}
}

// TestLoRAPlusMovesBFaster: AdamW's first step is the learning rate, whatever the
// gradient.
func TestLoRAPlusMovesBFaster(t *testing.T) {
	m := toyModel(t, open(t, 1))
	o := toyOptions()
	o.LoRAPlus, o.LoRA.Dropout, o.MaxSteps, o.WarmupSteps, o.LearningRate = 16, 0, 1, 0, 1e-3
	o.Decay = Constant
	if err := prepare(m, o); err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Trainable() { // B begins at zero, where A has no gradient
		for i := range p.Tensor().Floats() {
			p.Tensor().Floats()[i] += 0.1 * float32(1+i%3)
		}
	}
	before := trained(m)
	for i := range before {
		before[i] = append([]float32(nil), before[i]...)
	}
	if _, err := Run(t.Context(), m, counting(8, 0, 1), nil, o, Hooks{}); err != nil {
		t.Fatal(err)
	}
	for i, p := range m.Trainable() {
		want := 1e-3
		if strings.Contains(p.Name, ".lora_B.") {
			want = 16e-3
		}
		moved := 0.0
		for j, v := range trained(m)[i] {
			moved = max(moved, math.Abs(float64(v-before[i][j])))
		}
		if math.Abs(moved-want) > 0.02*want {
			t.Errorf("%s moved by %g, want %g", p.Name, moved, want)
		}
	}
}

// TestOneAdapterIsTrained: a method does not train another method's adapter.
func TestOneAdapterIsTrained(t *testing.T) {
	for _, c := range []struct {
		has func(*chatglm.Model) error
		o   string
	}{
		{func(m *chatglm.Model) error { return m.AddLoRA(chatglm.LoRAConfig{}, 1) }, PTuning},
		{func(m *chatglm.Model) error { return m.AddPrefix(chatglm.PrefixConfig{Tokens: 2}, 1) }, LoRA},
	} {
		m := toyModel(t, open(t, 1))
		if err := c.has(m); err != nil {
			t.Fatal(err)
		}
		m.Freeze()
		o := toyOptions()
		o.Method = c.o
		if _, err := Run(t.Context(), m, counting(4, 0, 1), nil, o, Hooks{}); err == nil || !strings.Contains(err.Error(), "another kind") {
			t.Errorf("%s: error %v", c.o, err)
		}
	}
}
