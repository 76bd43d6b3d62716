package finetune

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/cpu"
)

// TestCDeviceKeepsThePromises trains on the C kernels, undisturbed on one worker
// and interrupted on several: the same bytes, in both precisions.
func TestCDeviceKeepsThePromises(t *testing.T) {
	for _, precision := range []string{"fp32", "bf16"} {
		t.Run(precision, func(t *testing.T) {
			train := func(ctx context.Context, workers int, h Hooks) (outcome, error) {
				dev, err := cpu.Open(device.Options{Workers: workers, Precision: precision})
				if errors.Is(err, cpu.ErrNotBuilt) {
					t.Skip(err)
				}
				if err != nil {
					t.Fatal(err)
				}
				defer dev.Close()
				m := toyModel(t, dev)
				r, err := Run(ctx, m, counting(24, 0, 1), counting(6, 3, 1), toyOptions(), h)
				weights := trained(m)
				m.Close() // before its device
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
				t.Errorf("(-undisturbed, 1 worker +interrupted, 2 and 3 workers):\n%s", d)
			}
		})
	}
}
