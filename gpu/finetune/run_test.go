package finetune

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/glmflow/glmflow/gpu/chatglm"
)

// meanLoss is the mean nats a target of m over examples.
func meanLoss(t *testing.T, m *chatglm.Model, examples []Example) float64 {
	t.Helper()
	nll, targets, err := m.Loss(batch(examples, inOrder(len(examples))))
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	var n int
	for i := range nll {
		sum += nll[i]
		n += targets[i]
	}
	return sum / float64(n)
}

// TestLearns teaches a model to count, and then its adapters to count down.
func TestLearns(t *testing.T) {
	m := toyModel(t, open(t, 0))
	o := toyOptions()
	o.MaxSteps, o.BatchTokens = 60, 64
	for _, task := range []struct {
		method string
		by     int
		want   float64 // of validation loss
	}{{Full, 1, 0.5}, {LoRA, -1, 2}} {
		o.Method = task.method
		m.Freeze()
		held := counting(6, 3, task.by)
		r, err := Run(t.Context(), m, counting(24, 0, task.by), held, o, Hooks{})
		if err != nil {
			t.Fatal(err)
		}
		if *r.StartLoss < 2*task.want || *r.BestLoss > task.want {
			t.Errorf("%s: validation loss %.3f → %.3f, want at most %.3f", task.method, *r.StartLoss, *r.BestLoss, task.want)
		}
		if r.Steps != 60 || len(r.Curve) != 60 || r.Skipped != 0 {
			t.Errorf("%s: %d steps, %d points, %d skipped; want 60, 60, 0", task.method, r.Steps, len(r.Curve), r.Skipped)
		}
		if got := meanLoss(t, m, held); math.Abs(got-*r.BestLoss) > 1e-6 {
			t.Errorf("%s: the model's loss is %.6f, the result says %.6f", task.method, got, *r.BestLoss)
		}
	}
}

// outcome is all that must not depend on interruptions or worker counts.
type outcome struct {
	Result  Result
	Weights [][]float32
}

// train runs the toy task undisturbed or from a checkpoint.
func train(ctx context.Context, t *testing.T, workers int, h Hooks) (outcome, error) {
	t.Helper()
	m := toyModel(t, open(t, workers))
	r, err := Run(ctx, m, counting(24, 0, 1), counting(6, 3, 1), toyOptions(), h)
	return outcome{r, trained(m)}, err
}

func TestWorkersChangeNothing(t *testing.T) {
	want, err := train(t.Context(), t, 1, Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	for _, workers := range []int{2, 5} {
		got, err := train(t.Context(), t, workers, Hooks{})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%d workers (-1 worker +%d):\n%s", workers, workers, d)
		}
	}
}

// TestResumedIsUndisturbed interrupts training after every k-th micro-batch, and
// again after the next k, until it is through: the end is the same to the bit.
func TestResumedIsUndisturbed(t *testing.T) {
	want, err := train(t.Context(), t, 1, Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	if want.Result.Steps < 8 || want.Result.BestStep == 0 {
		t.Fatalf("the task is too short to be interrupted: %d steps, best %d", want.Result.Steps, want.Result.BestStep)
	}
	for k := 2; k <= 14; k += 3 {
		t.Run(fmt.Sprintf("every %d micro-batches", k), func(t *testing.T) {
			store := inMemory{}
			for attempt := 1; ; attempt++ {
				if attempt > 200 {
					t.Fatal("no progress in 200 attempts")
				}
				// Later attempts get further, as validation alone takes a few.
				left := k + attempt/4
				ctx, cancel := context.WithCancel(t.Context())
				var steps []int
				got, err := train(ctx, t, 1, Hooks{
					State: store,
					Heartbeat: func() {
						left--
						if left == 0 {
							cancel()
						}
					},
					OnStep: func(i StepInfo) { steps = append(steps, i.Step) },
				})
				cancel()
				if errors.Is(err, context.Canceled) {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(want, got, cmpopts.IgnoreFields(Result{}, "Resumed")); d != "" {
					t.Errorf("after %d attempts (-undisturbed +resumed):\n%s", attempt, d)
				}
				if got.Result.Resumed == 0 {
					t.Error("the last attempt began anew")
				}
				return
			}
		})
	}
}

// TestCrashGoesBackToTheLastCheckpoint loses everything after a save, as a
// killed process does.
func TestCrashGoesBackToTheLastCheckpoint(t *testing.T) {
	want, err := train(t.Context(), t, 1, Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	for crash := 1; crash < want.Result.Steps; crash++ {
		store := inMemory{}
		func() {
			defer func() { _ = recover() }()
			_, _ = train(t.Context(), t, 1, Hooks{State: store, OnStep: func(i StepInfo) {
				if i.Step == crash {
					panic("the power fails")
				}
			}})
		}()
		got, err := train(t.Context(), t, 1, Hooks{State: store})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmpopts.IgnoreFields(Result{}, "Resumed")); d != "" {
			t.Errorf("crash at step %d (-undisturbed +resumed):\n%s", crash, d)
		}
		if saved := (crash - 1) / 2 * 2; got.Result.Resumed != saved {
			t.Errorf("crash at step %d: went on from step %d, want %d", crash, got.Result.Resumed, saved)
		}
	}
}

func TestForeignCheckpointIsNotUsed(t *testing.T) {
	store := inMemory{}
	first := Hooks{State: store, Base: "one"}
	if _, err := train(t.Context(), t, 1, first); err != nil {
		t.Fatal(err)
	}
	if len(store) == 0 {
		t.Fatal("no checkpoint was saved")
	}
	again, err := train(t.Context(), t, 1, first)
	if err != nil || again.Result.Resumed == 0 {
		t.Errorf("the same run resumed at step %d (%v), want its checkpoint", again.Result.Resumed, err)
	}
	other, err := train(t.Context(), t, 1, Hooks{State: store, Base: "another", Overwrite: true})
	if err != nil || other.Result.Resumed != 0 {
		t.Errorf("a run on another base resumed at step %d (%v), want 0", other.Result.Resumed, err)
	}
	for what, damage := range map[string]func([]byte) []byte{
		"cut short": func(b []byte) []byte { return b[:len(b)/2] },
		"steps": func(b []byte) []byte {
			return regexp.MustCompile(`\\"steps\\":\d`).ReplaceAll(b, []byte(`\"steps\":-`))
		},
	} {
		whole := inMemory{}
		if _, err := train(t.Context(), t, 1, Hooks{State: whole}); err != nil {
			t.Fatal(err)
		}
		for name, b := range whole {
			whole[name] = damage(b)
			if bytes.Equal(b, whole[name]) {
				t.Fatalf("%s: the checkpoint is as it was", what)
			}
		}
		if r, err := train(t.Context(), t, 1, Hooks{State: whole}); err != nil || r.Result.Resumed != 0 {
			t.Errorf("%s: went on from step %d of a damaged checkpoint (%v)", what, r.Result.Resumed, err)
		}
	}
}

// TestStopsEarlyAndKeepsTheBest trains on one thing and validates on its
// opposite: the start is the best there is.
func TestStopsEarlyAndKeepsTheBest(t *testing.T) {
	m := toyModel(t, open(t, 0))
	against := counting(6, 0, 1)
	for _, e := range against {
		for j := 1; j < len(e.Labels); j++ {
			e.Labels[j] = 1 // an id that training never shows
		}
	}
	o := toyOptions()
	o.Method, o.MaxSteps, o.EvalEvery, o.Patience = Full, 100, 4, 3
	r, err := Run(t.Context(), m, counting(24, 0, 1), against, o, Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Stopped || r.Steps != r.BestStep+o.EvalEvery*o.Patience || *r.BestLoss > *r.StartLoss {
		t.Errorf("stopped %t after %d steps, best at %d with %.3f (start %.3f); want a stop %d steps after the best",
			r.Stopped, r.Steps, r.BestStep, *r.BestLoss, *r.StartLoss, o.EvalEvery*o.Patience)
	}
	if r.BestStep == 0 {
		fresh := toyModel(t, open(t, 0))
		if err := fresh.TrainAll(); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(trained(fresh), trained(m)); d != "" {
			t.Errorf("the best step is 0, but the weights changed:\n%s", d)
		}
	}
}

// TestDivergenceIsAnError: weights that training spoils are its own fault.
func TestDivergenceIsAnError(t *testing.T) {
	m := toyModel(t, open(t, 0))
	o := toyOptions()
	o.Method, o.MaxSkips = Full, 3
	skipped := 0
	r, err := Run(t.Context(), m, counting(24, 0, 1), nil, o, Hooks{OnStep: func(i StepInfo) {
		if i.Step == 1 {
			poison(m)
		}
		if i.Skipped {
			skipped++
		}
	}})
	if !errors.Is(err, ErrDiverged) || r.Skipped != 3 || skipped != 2 {
		t.Errorf("error %v after %d skips, %d reported; want ErrDiverged after 3, the last of them being the error", err, r.Skipped, skipped)
	}
}

// TestBrokenBaseIsNamed: weights that are bad before the first update are no
// divergence; the first loss says which one it is.
func TestBrokenBaseIsNamed(t *testing.T) {
	for name, held := range map[string][]Example{"training": nil, "validation": counting(6, 3, 1)} {
		m := toyModel(t, open(t, 0))
		broken := m.Params()[3]
		values := make([]float32, broken.Len())
		values[5] = float32(math.NaN())
		if err := m.SetValues(broken, values); err != nil {
			t.Fatal(err)
		}
		r, err := Run(t.Context(), m, counting(24, 0, 1), held, toyOptions(), Hooks{})
		want := "1 of the " + fmt.Sprint(len(values)) + " numbers of weight " + broken.Name
		if errors.Is(err, ErrDiverged) || !errors.Is(err, chatglm.ErrNotFinite) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one that says %q", name, err, want)
		}
		if r.Steps > 1 {
			t.Errorf("%s: found out after %d steps", name, r.Steps)
		}
	}
}

// TestOneStepWeighsTokensAlike splits a step into micro-batches in two ways:
// every supervised token has the same weight in both.
func TestOneStepWeighsTokensAlike(t *testing.T) {
	gradient := func(batchTokens, accumulate int) (Point, [][]float32) {
		m := toyModel(t, open(t, 1))
		o := toyOptions()
		o.Method, o.Shuffle, o.MaxSteps = Full, false, 1
		o.BatchTokens, o.Accumulate = batchTokens, accumulate
		r, err := Run(t.Context(), m, counting(8, 0, 1), nil, o, Hooks{})
		if err != nil {
			t.Fatal(err)
		}
		return r.Curve[0], trained(m)
	}
	whole, w1 := gradient(1000, 1)
	split, w2 := gradient(1, 8)
	if math.Abs(whole.Loss-split.Loss) > 1e-6 || math.Abs(whole.GradNorm-split.GradNorm) > 1e-4*whole.GradNorm || whole.Tokens != split.Tokens {
		t.Errorf("one micro-batch %+v, eight %+v", whole, split)
	}
	if d := cmp.Diff(w1, w2, cmpopts.EquateApprox(0, 2e-3)); d != "" {
		t.Errorf("updates differ (-one micro-batch +eight):\n%s", d)
	}
}

func TestRefusesWhatItCannotTrain(t *testing.T) {
	for name, c := range map[string]struct {
		train []Example
		want  string
	}{
		"nothing":    {nil, "no supervised token"},
		"no target":  {[]Example{{ID: "x", IDs: []int32{1, 2}, Labels: []int32{2, -100}}}, "no supervised token"},
		"vocabulary": {[]Example{{ID: "x", IDs: []int32{1, 99}, Labels: []int32{-100, 99}}}, "another vocabulary"},
		"lengths":    {[]Example{{ID: "x", IDs: []int32{1, 2}, Labels: []int32{-100}}}, "2 ids and 1 labels"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Run(t.Context(), toyModel(t, open(t, 1)), c.train, nil, toyOptions(), Hooks{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}
