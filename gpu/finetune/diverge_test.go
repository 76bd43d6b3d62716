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
)

// poison makes the weights useless, as an update that goes too far does.
func poison(m *chatglm.Model) {
	p := m.Trainable()[0]
	values := make([]float32, p.Len())
	for i := range values {
		values[i] = float32(math.NaN())
	}
	if err := m.SetValues(p, values); err != nil {
		panic(err)
	}
}

// TestDivergenceGoesBackToTheLastGoodCheckpoint poisons the weights after each
// step in turn, also right before they are saved: what is left, in the model and
// in the files, is as after the newest checkpoint that a step succeeded.
func TestDivergenceGoesBackToTheLastGoodCheckpoint(t *testing.T) {
	for name, vary := range map[string]func(*Options) []Example{
		"without validation": func(*Options) []Example { return nil },
		"with an average":    func(o *Options) []Example { o.EMA = 0.8; return nil },
		"with validation":    func(*Options) []Example { return counting(6, 3, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			o := toyOptions()
			held := vary(&o)
			o.MaxSkips = 3
			run := func(ctx context.Context, store Checkpoints, onStep func(*chatglm.Model, StepInfo)) (outcome, error) {
				m := toyModel(t, open(t, 1))
				r, err := Run(ctx, m, counting(24, 0, 1), held, o, Hooks{State: store, OnStep: func(i StepInfo) { onStep(m, i) }})
				return outcome{r, trained(m)}, err
			}
			alone := func(*chatglm.Model, StepInfo) {}
			undisturbed, err := run(t.Context(), nil, alone)
			if err != nil {
				t.Fatal(err)
			}
			for at := 1; at < undisturbed.Result.Steps-o.MaxSkips; at++ {
				store := inMemory{}
				left, err := run(t.Context(), store, func(m *chatglm.Model, i StepInfo) {
					if i.Step == at {
						poison(m)
					}
				})
				var diverged *DivergedError
				if !errors.Is(err, ErrDiverged) || !errors.As(err, &diverged) {
					t.Fatalf("poisoned at step %d: error %v", at, err)
				}
				good := (at - 1) / 2 * 2 // saved every second step, and one step must have followed
				if good == 0 {
					good = -1
				}
				if diverged.Checkpoint != good {
					t.Errorf("poisoned at step %d: went back to the checkpoint of step %d, want %d", at, diverged.Checkpoint, good)
				}
				if broken := math.IsNaN(float64(left.Weights[0][0])); broken != (diverged.Good < 0) {
					t.Errorf("poisoned at step %d: weights are broken: %t, the error says %v", at, broken, err)
				}
				if good < 0 {
					continue
				}
				if left.Result.Steps != good || !strings.Contains(err.Error(), "the last good checkpoint") {
					t.Errorf("poisoned at step %d: the result is of step %d, the error %v", at, left.Result.Steps, err)
				}
				if o.EMA == 0 && held == nil { // the model is what it was then
					ctx, cancel := context.WithCancel(t.Context())
					then, _ := run(ctx, nil, func(_ *chatglm.Model, i StepInfo) {
						if i.Step == good {
							cancel()
						}
					})
					cancel()
					if d := cmp.Diff(then.Weights, left.Weights); d != "" {
						t.Errorf("poisoned at step %d (-weights of step %d +left):\n%s", at, good, d)
					}
				}
				// The files are good: without the poison they lead to the end.
				got, err := run(t.Context(), store, alone)
				if err != nil {
					t.Fatal(err)
				}
				if got.Result.Resumed != good {
					t.Errorf("poisoned at step %d: went on from step %d, want %d", at, got.Result.Resumed, good)
				}
				if d := cmp.Diff(undisturbed, got, cmpopts.IgnoreFields(Result{}, "Resumed")); d != "" {
					t.Errorf("poisoned at step %d (-undisturbed +resumed):\n%s", at, d)
				}
			}
		})
	}
}

// TestCancelledWhileDivergingKeepsTheGoodCheckpoint: with room for one
// checkpoint, a run that is cancelled between skipped steps leaves the one that
// was saved before, and ends as if nothing had happened once the cause is gone.
// Where there is no other, the step is kept all the same.
func TestCancelledWhileDivergingKeepsTheGoodCheckpoint(t *testing.T) {
	const saved, bad = 3, 4 // steps
	o := toyOptions()
	o.KeepCheckpoints = 1
	run := func(store Checkpoints, saveEvery int, breaks bool) (outcome, error) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		o.SaveEvery = saveEvery
		dev := &failing{Device: open(t, 1), value: float32(math.NaN()), bad: -1}
		if breaks {
			dev.bad = bad
		}
		m := toyModel(t, dev)
		r, err := Run(ctx, m, counting(24, 0, 1), nil, o, Hooks{State: store, OnStep: func(i StepInfo) {
			if i.Skipped {
				cancel()
			}
		}})
		return outcome{r, trained(m)}, err
	}
	want, err := run(nil, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ saveEvery, resumed int }{{saved, saved}, {0, bad}} {
		store := inMemory{}
		if _, err := run(store, c.saveEvery, true); !errors.Is(err, context.Canceled) {
			t.Fatalf("saving every %d: error %v, want a cancelled run", c.saveEvery, err)
		}
		got, err := run(store, c.saveEvery, false)
		if err != nil {
			t.Fatal(err)
		}
		if got.Result.Resumed != c.resumed {
			t.Errorf("saving every %d: went on from step %d, want %d", c.saveEvery, got.Result.Resumed, c.resumed)
		}
		if c.saveEvery == 0 {
			continue // the step stays skipped
		}
		if d := cmp.Diff(want, got, cmpopts.IgnoreFields(Result{}, "Resumed")); d != "" {
			t.Errorf("saving every %d (-undisturbed +resumed):\n%s", c.saveEvery, d)
		}
	}
}

// failing is a device on which the gradient of one step has a value in it.
type failing struct {
	device.Device
	norms, bad int // asked for so far, and the one that is bad
	value      float32
}

func (f *failing) ClipNorm(norm device.Tensor, g []device.Tensor, limit float32) {
	if f.norms++; f.norms == f.bad {
		g[0].Floats()[0] = f.value
	}
	f.Device.ClipNorm(norm, g, limit)
}

// TestASkippedStepUpdatesNothing: one gradient of infinity costs one step.
func TestASkippedStepUpdatesNothing(t *testing.T) {
	for _, value := range []float32{float32(math.Inf(1)), float32(math.NaN())} {
		o := toyOptions()
		o.EMA = 0.5
		run := func(bad int, h Hooks) outcome {
			dev := &failing{Device: open(t, 1), value: value}
			m := toyModel(t, dev)
			dev.bad = bad
			r, err := Run(t.Context(), m, counting(24, 0, 1), nil, o, h)
			if err != nil {
				t.Fatal(err)
			}
			return outcome{r, trained(m)}
		}
		const bad = 4
		store := inMemory{}
		got := run(bad, Hooks{State: store, OnStep: func(i StepInfo) {
			if i.Skipped != (i.Step == bad) {
				t.Errorf("step %d: skipped %t", i.Step, i.Skipped)
			}
		}})
		r := got.Result
		if r.Skipped != 1 || len(r.Curve) != r.Steps-1 || r.Steps != r.Planned {
			t.Errorf("%d of %d steps, %d skipped, %d in the curve", r.Steps, r.Planned, r.Skipped, len(r.Curve))
		}
		if whole := run(-1, Hooks{}); cmp.Equal(whole.Weights, got.Weights) {
			t.Error("the step was taken after all")
		}
		// Resumed behind it, the count of updates is right.
		if again := run(-1, Hooks{State: store}); !cmp.Equal(got, again, cmpopts.IgnoreFields(Result{}, "Resumed")) {
			t.Error("resumed, the run ends elsewhere")
		}
	}
}
