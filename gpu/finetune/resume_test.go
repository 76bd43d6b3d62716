package finetune

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/cpu"
)

// host opens the C device, or the reference device in builds without one.
func host(t *testing.T, workers int) device.Device {
	t.Helper()
	dev, err := cpu.Open(device.Options{Workers: workers})
	if errors.Is(err, cpu.ErrNotBuilt) {
		return open(t, workers)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

// wideModel has weights of more than 4096 values, whose moments can be narrow.
func wideModel(t *testing.T, dev device.Device) *chatglm.Model {
	t.Helper()
	c := toyConfig()
	c.HiddenSize, c.FFNHiddenSize = 32, 80
	m, err := chatglm.New(c, dev, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// TestInterruptedAtEveryStep: whatever is remembered from step to step, a run
// that is cancelled after any step, and goes on with another number of workers,
// ends with the bytes of one that was not.
func TestInterruptedAtEveryStep(t *testing.T) {
	for name, vary := range map[string]func(*Options){
		"adamw":          func(*Options) {},
		"adamw 8 bits":   func(o *Options) { o.OptimizerBits, o.Method = 8, Full },
		"sgd":            func(o *Options) { o.Optimizer, o.Momentum, o.LearningRate = SGD, 0, 0.5 },
		"nesterov":       func(o *Options) { o.Optimizer, o.Nesterov, o.WeightDecay = SGD, true, 0.01 },
		"momentum 8 bit": func(o *Options) { o.Optimizer, o.OptimizerBits, o.Method = SGD, 8, Full },
		"lion":           func(o *Options) { o.Optimizer, o.LearningRate, o.WeightDecay = Lion, 1e-3, 0.1 },
		"lion 8 bits":    func(o *Options) { o.Optimizer, o.OptimizerBits, o.Method, o.LearningRate = Lion, 8, Full, 1e-3 },
		"average":        func(o *Options) { o.EMA, o.Decay = 0.9, Cosine },
		"full average":   func(o *Options) { o.EMA, o.Method = 0.5, Full },
		"patience": func(o *Options) {
			o.Metric, o.EvalEvery, o.Patience, o.MinDelta, o.MaxSteps = Accuracy, 1, 4, 0.02, 20
		},
		"prefix": func(o *Options) {
			o.Method, o.Prefix.Tokens, o.Prefix.Dropout, o.Noise, o.EMA = PTuning, 3, 0.2, 5, 0.9
		},
		"freeze":    func(o *Options) { o.Method, o.LabelSmoothing, o.Part = Freeze, 0.1, chatglm.Part{Last: 1} },
		"kl":        func(o *Options) { o.KL, o.LoRAPlus = 0.1, 4 },
		"batches":   func(o *Options) { o.AccumulateBy, o.Metric = ByBatches, Perplexity },
		"unordered": func(o *Options) { o.Shuffle, o.KeepCheckpoints = false, 1 },
	} {
		t.Run(name, func(t *testing.T) {
			o := toyOptions()
			vary(&o)
			run := func(ctx context.Context, workers int, h Hooks) (outcome, error) {
				dev := open(t, workers)
				if o.OptimizerBits == 8 {
					dev = host(t, workers)
				}
				m := wideModel(t, dev)
				r, err := Run(ctx, m, counting(16, 0, 1), counting(6, 3, 1), o, h)
				return outcome{r, trained(m)}, err
			}
			want, err := run(t.Context(), 1, Hooks{})
			if err != nil {
				t.Fatal(err)
			}
			if want.Result.Steps < 5 || want.Result.Steps == o.MaxSteps {
				t.Fatalf("%d steps: too few to interrupt, or not stopped early", want.Result.Steps)
			}
			for stop := 1; stop < want.Result.Steps; stop++ {
				store := inMemory{}
				ctx, cancel := context.WithCancel(t.Context())
				_, err := run(ctx, 2, Hooks{State: store, OnStep: func(i StepInfo) {
					if i.Step == stop {
						cancel()
					}
				}})
				cancel()
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("cancelled at step %d: %v", stop, err)
				}
				got, err := run(t.Context(), 3, Hooks{State: store})
				if err != nil {
					t.Fatal(err)
				}
				if got.Result.Resumed != stop {
					t.Errorf("cancelled at step %d, went on from %d", stop, got.Result.Resumed)
				}
				if d := cmp.Diff(want, got, cmpopts.IgnoreFields(Result{}, "Resumed")); d != "" {
					t.Fatalf("cancelled at step %d (-undisturbed +resumed):\n%s", stop, d)
				}
			}
		})
	}
}

// TestCheckpointsTakeTurns: as many are kept as asked for, the newest, and a
// damaged one is passed over, in its header, its state or its tensors.
func TestCheckpointsTakeTurns(t *testing.T) {
	want, err := train(t.Context(), t, 1, Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	last := want.Result.Steps / 2 * 2 // saved every second step
	for keep := 1; keep <= 3; keep++ {
		o := toyOptions()
		o.KeepCheckpoints = keep
		store := inMemory{}
		run := func(log *slog.Logger) Result {
			m := toyModel(t, open(t, 1))
			r, err := Run(t.Context(), m, counting(24, 0, 1), counting(6, 3, 1), o, Hooks{State: store, Log: log})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, outcome{r, trained(m)}, cmpopts.IgnoreFields(Result{}, "Resumed")); d != "" {
				t.Errorf("(-undisturbed +kept %d):\n%s", keep, d)
			}
			return r
		}
		run(nil)
		if len(store) != keep {
			t.Errorf("%d checkpoints are kept, want %d", len(store), keep)
		}
		newest := slotName((last/2 - 1) % keep)
		whole := store[newest]
		for _, at := range []int{0, 9, len(whole) / 3, len(whole) / 2, len(whole) - 1} {
			damaged := bytes.Clone(whole)
			damaged[at] ^= 0x10
			store[newest] = damaged
			var log bytes.Buffer
			r := run(slog.New(slog.NewTextHandler(&log, nil)))
			before := last - 2
			if keep == 1 {
				before = 0
			}
			if r.Resumed != before || !strings.Contains(log.String(), "damaged checkpoint") {
				t.Errorf("byte %d of %d damaged, %d kept: went on from step %d, want %d; log:\n%s", at, len(whole), keep, r.Resumed, before, &log)
			}
		}
	}
}

// TestKeepingFewerFindsTheNewest: how many are kept may change between runs.
func TestKeepingFewerFindsTheNewest(t *testing.T) {
	store := inMemory{}
	for _, c := range []struct{ keep, stop, from int }{{3, 3, 0}, {1, 4, 3}, {2, 5, 4}, {4, 6, 5}} {
		o := toyOptions()
		o.KeepCheckpoints, o.SaveEvery = c.keep, 1
		ctx, cancel := context.WithCancel(t.Context())
		r, err := Run(ctx, toyModel(t, open(t, 1)), counting(24, 0, 1), counting(6, 3, 1), o, Hooks{State: store, OnStep: func(i StepInfo) {
			if i.Step == c.stop {
				cancel()
			}
		}})
		cancel()
		if !errors.Is(err, context.Canceled) || r.Resumed != c.from {
			t.Errorf("%d kept: went on from step %d (%v), want %d", c.keep, r.Resumed, err, c.from)
		}
	}
}

// TestACopyLiesWhereTheRunSays: a checkpoint that is no file is copied to the
// scratch directory, never to the system's, and nothing of it stays.
func TestACopyLiesWhereTheRunSays(t *testing.T) {
	store, scratch := inMemory{}, t.TempDir()
	t.Setenv("TMPDIR", filepath.Join(scratch, "absent")) // where nothing can be created
	if _, err := train(t.Context(), t, 1, Hooks{State: store}); err != nil {
		t.Fatal(err)
	}
	again, err := train(t.Context(), t, 1, Hooks{State: store, Scratch: scratch})
	if err != nil || again.Result.Resumed == 0 {
		t.Errorf("went on from step %d: %v", again.Result.Resumed, err)
	}
	if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
		t.Errorf("left %v in the scratch directory (%v)", left, err)
	}
	if _, err := train(t.Context(), t, 1, Hooks{State: store}); err == nil {
		t.Error("resumed without a directory for the copy: the test shows nothing")
	}
}
