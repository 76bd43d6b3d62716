package finetune

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/devicetest"
	"github.com/glmflow/glmflow/gpu/device/reference"
)

// deferring is a device with a queue and memory of its own that does nothing
// before it is waited for.
func deferring(t *testing.T) *devicetest.DeferringDevice {
	t.Helper()
	on, err := reference.Open(device.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	d := devicetest.Deferring(on)
	t.Cleanup(func() { d.Close() })
	return d
}

// deferredOptions are trainings with everything that remembers something.
func deferredOptions() map[string]Options {
	all := methodOptions()
	for name, o := range all {
		o.MaxSteps, o.EMA, o.OptimizerBits, o.Metric = 6, 0.8, 8, Accuracy
		all[name] = o
	}
	return all
}

// brief trains on dev, with checkpoints, and closes the model.
func brief(t *testing.T, dev device.Device, o Options, h Hooks) (outcome, error) {
	t.Helper()
	m, err := chatglm.New(toyConfig(), dev, 1)
	if err != nil {
		return outcome{}, err
	}
	defer m.Close()
	all := outcome{}
	if all.Result, err = Run(t.Context(), m, counting(24, 0, 1), counting(6, 3, 1), o, h); err != nil {
		return all, err
	}
	for _, p := range m.Trainable() {
		w := make([]float32, p.Len())
		if err := m.Values(p, w); err != nil {
			return all, err
		}
		all.Weights = append(all.Weights, w)
	}
	return all, nil
}

// TestTrainingDoesNotMindWhenThingsHappen: a device that defers gives the bytes of
// one that does not, in checkpoints too; each step is given to its thread as a
// whole, and waited for once; and nothing is left on it.
func TestTrainingDoesNotMindWhenThingsHappen(t *testing.T) {
	for name, o := range deferredOptions() {
		t.Run(name, func(t *testing.T) {
			near, far := inMemory{}, inMemory{}
			want, err := brief(t, open(t, 1), o, Hooks{State: near})
			if err != nil {
				t.Fatal(err)
			}
			dev := deferring(t)
			var before devicetest.Counts
			got, err := brief(t, dev, o, Hooks{State: far, OnStep: func(i StepInfo) {
				now := dev.Counts()
				// Neither validated nor saved since the step before.
				if i.Step == 2 && (now.Syncs != before.Syncs+1 || now.Allocs != before.Allocs) {
					t.Errorf("a step waited %d times and took memory %d times", now.Syncs-before.Syncs, now.Allocs-before.Allocs)
				}
				before = now
			}})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-at once +deferred):\n%s", d)
			}
			if d := cmp.Diff(near, far); d != "" {
				t.Error("the checkpoints differ")
			}
			if n := dev.Live(); n != 0 {
				t.Errorf("%d pieces of memory are left", n)
			}
		})
	}
}

// TestFaultsOfADeviceEndATraining: wherever memory is refused, or the device
// breaks, that is the error, and nothing is left on the device.
func TestFaultsOfADeviceEndATraining(t *testing.T) {
	o := deferredOptions()["lora, everything"]
	o.MaxSteps = 3
	whole := deferring(t)
	if _, err := brief(t, whole, o, Hooks{State: inMemory{}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		n    int
		fail func(*devicetest.DeferringDevice, int)
		want error
	}{
		{"alloc", whole.Counts().Allocs, (*devicetest.DeferringDevice).FailAlloc, devicetest.ErrFull},
		{"sync", whole.Counts().Syncs, (*devicetest.DeferringDevice).FailSync, devicetest.ErrFault},
	} {
		for n := 1; n <= c.n; n++ {
			dev := deferring(t)
			c.fail(dev, n)
			if _, err := brief(t, dev, o, Hooks{State: inMemory{}}); !errors.Is(err, c.want) {
				t.Errorf("%s %d of %d: error %v", c.name, n, c.n, err)
			}
			if left := dev.Live(); left != 0 {
				t.Errorf("%s %d of %d: %d pieces of memory are left", c.name, n, c.n, left)
			}
		}
	}
}
