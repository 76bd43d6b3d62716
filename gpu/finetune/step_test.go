package finetune

import (
	"bytes"
	"context"
	"math"
	"strings"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

// counter is a device that counts what holds a training up, or may.
type counter struct {
	device.Device
	syncs, allocs, downloaded int // calls, calls, bytes
}

func (c *counter) Sync() error {
	c.syncs++
	return c.Device.Sync()
}

func (c *counter) Alloc(n int) (device.Mem, error) {
	c.allocs++
	return c.Device.Alloc(n)
}

func (c *counter) Download(dst []byte, src device.Mem) {
	c.downloaded += len(dst)
	c.Device.Download(dst, src)
}

// TestAStepWaitsOnce: whatever is trained, a step of several micro-batches waits
// for the device once, and takes no memory that was not taken before the first.
func TestAStepWaitsOnce(t *testing.T) {
	for name, vary := range map[string]func(*Options){
		"lora":    func(o *Options) { o.LoRAPlus = 4 },
		"kl":      func(o *Options) { o.KL, o.LabelSmoothing = 0.1, 0.1 },
		"full":    func(o *Options) { o.Method, o.EMA, o.Noise = Full, 0.9, 5 },
		"sgd":     func(o *Options) { o.Method, o.Optimizer, o.Momentum, o.ClipNorm = Full, SGD, 0, 0 },
		"freeze":  func(o *Options) { o.Method, o.Part.Last, o.Optimizer = Freeze, 1, Lion },
		"ptuning": func(o *Options) { o.Method, o.Prefix.Tokens, o.Prefix.Projection = PTuning, 2, true },
	} {
		t.Run(name, func(t *testing.T) {
			o := toyOptions()
			vary(&o)
			o.Accumulate, o.EvalEvery = 3, 0
			dev := &counter{Device: open(t, 1)}
			before, several := 0, 0
			r, err := newRun(toyModel(t, dev), counting(24, 0, 1), nil, o, Hooks{
				Heartbeat: func() { several++ },
				OnStep: func(i StepInfo) {
					if n := dev.syncs - before; n != 1 {
						t.Errorf("step %d waited %d times", i.Step, n)
					}
					before = dev.syncs
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer r.updater.close()
			before = dev.syncs
			allocated := dev.allocs
			if err := r.loop(t.Context()); err != nil {
				t.Fatal(err)
			}
			if dev.allocs != allocated {
				t.Errorf("%d pieces of memory were taken while training", dev.allocs-allocated)
			}
			if steps := r.state.Steps; steps < 4 || several <= steps {
				t.Errorf("%d steps of %d micro-batches show nothing", steps, several)
			}
		})
	}
}

// TestACheckpointIsReadOnce: the device gives every number of a checkpoint once,
// its digest included.
func TestACheckpointIsReadOnce(t *testing.T) {
	o := toyOptions()
	o.Method, o.EMA, o.MaxSteps = Full, 0.9, 2
	dev := &counter{Device: open(t, 1)}
	r, err := newRun(toyModel(t, dev), counting(24, 0, 1), nil, o, Hooks{State: inMemory{}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.updater.close()
	want := 0
	for _, p := range r.parts() {
		want += 4 * p.N
	}
	dev.downloaded = 0
	if err := r.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	if dev.downloaded != want {
		t.Errorf("%d bytes came from the device for a checkpoint of %d", dev.downloaded, want)
	}
}

// unequal is a device whose losses are infinite while their gradients are not.
type unequal struct {
	device.Device
	calls, bad int
}

func (u *unequal) CrossEntropy(loss device.Tensor, hits device.Ints, dx, x device.Tensor, p *device.Pass, l *device.Head, g *device.HeadGrad, scale float32, o device.Objective) {
	u.Device.CrossEntropy(loss, hits, dx, x, p, l, g, scale, o)
	if u.calls++; u.calls == u.bad {
		loss.Floats()[1] = float32(math.Inf(1))
	}
}

// TestALossThatBeliesItsGradient: the device decides by the gradient whether to
// update; a loss that says otherwise is an error, and no step that was skipped.
// Nothing of it is saved, also where the run is cancelled then.
func TestALossThatBeliesItsGradient(t *testing.T) {
	o := toyOptions()
	o.Accumulate, o.SaveEvery = 1, 0
	store := inMemory{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	batches := 0
	r, err := Run(ctx, toyModel(t, &unequal{Device: open(t, 1), bad: 3}), counting(24, 0, 1), nil, o, Hooks{State: store, Heartbeat: func() {
		if batches++; batches == 3 {
			cancel()
		}
	}})
	if err == nil || !strings.Contains(err.Error(), "step 3: the loss is +Inf, but its gradient is finite") {
		t.Errorf("error %v", err)
	}
	if r.Steps != 2 || r.Skipped != 0 || len(store) > 0 {
		t.Errorf("%d steps, %d skipped, %d checkpoints", r.Steps, r.Skipped, len(store))
	}
}

// TestACheckpointWithoutADigestIsDamaged: neither behind its tensors nor in its
// metadata.
func TestACheckpointWithoutADigestIsDamaged(t *testing.T) {
	store := inMemory{}
	if _, err := train(t.Context(), t, 1, Hooks{State: store}); err != nil {
		t.Fatal(err)
	}
	for name, text := range store {
		if store[name] = bytes.Replace(text, []byte(`"sha256":`), []byte(`"sha255":`), 1); bytes.Equal(text, store[name]) {
			t.Fatalf("%s has no digest", name)
		}
	}
	if again, err := train(t.Context(), t, 1, Hooks{State: store}); err != nil || again.Result.Resumed != 0 {
		t.Errorf("went on from step %d (%v), want the beginning", again.Result.Resumed, err)
	}
}
