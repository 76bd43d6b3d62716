package chatglm_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/devicetest"
	"github.com/glmflow/glmflow/gpu/device/reference"
	"github.com/glmflow/glmflow/gpu/finetune"
)

func tinyConfig() chatglm.Config {
	c, _ := chatglm.Shape("tiny")
	c.PaddedVocabSize = 32
	return c
}

// newDeferring is a device that behaves as one with a queue and memory of its own.
func newDeferring(t testing.TB) *devicetest.DeferringDevice {
	t.Helper()
	on, err := reference.Open(device.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	d := devicetest.Deferring(on)
	t.Cleanup(func() { d.Close() })
	return d
}

// lesson is a conversation of n tokens.
func lesson(n int) chatglm.Sequence {
	s := chatglm.Sequence{IDs: make([]int32, n), Labels: make([]int32, n)}
	for i := range n {
		s.IDs[i] = int32(3 + (5*n+i)%12)
		s.Labels[i] = s.IDs[i]
	}
	return s
}

// saved are directories of a model and of two kinds of adapters for it.
func saved(t *testing.T) (model, adapter, prefix string) {
	t.Helper()
	model, adapter, prefix = filepath.Join(t.TempDir(), "model"), filepath.Join(t.TempDir(), "adapter"), filepath.Join(t.TempDir(), "prefix")
	m, err := chatglm.New(tinyConfig(), newDeferring(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := errors.Join(m.Save(model), m.AddLoRA(chatglm.LoRAConfig{Rank: 2}, 1), m.SaveAdapter(adapter, "base")); err != nil {
		t.Fatal(err)
	}
	m.RemoveAdapters()
	if err := errors.Join(m.AddPrefix(chatglm.PrefixConfig{Tokens: 3, Projection: true}, 1), m.SaveAdapter(prefix, "base")); err != nil {
		t.Fatal(err)
	}
	return model, adapter, prefix
}

// lives are what models go through, see life.
var lives = []string{"lora and full", "prefix and freeze"}

// life is everything that a model goes through, from its files to trained
// weights, and what it computes on the way.
func life(ctx context.Context, dev device.Device, which, model, adapter, prefix, out string) (trace [][]float32, err error) {
	m, err := chatglm.Open(model, dev)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	batch := chatglm.Pack([]chatglm.Sequence{lesson(5), lesson(9)})
	compute := func() error {
		logits, err := m.Logits(batch)
		if err != nil {
			return err
		}
		hidden, err := m.Hidden(batch)
		if err != nil {
			return err
		}
		nll, _, err := m.Loss(batch)
		if err != nil {
			return err
		}
		sums := make([]float32, len(nll))
		for i, v := range nll {
			sums[i] = float32(v)
		}
		trace = append(trace, logits, hidden, sums)
		return nil
	}
	answer := func() error {
		o := chatglm.GenerateOptions{MaxNew: 4, Temperature: 1}
		answers, err := m.Generate(ctx, [][]int32{lesson(3).IDs, lesson(6).IDs}, o)
		if err != nil {
			return err
		}
		s, err := m.NewSession()
		if err != nil {
			return err
		}
		defer s.Close()
		o.MaxNew = 2
		a, err := s.Generate(ctx, lesson(6).IDs, o)
		if err != nil {
			return err
		}
		answers = append(answers, a)
		for _, a := range answers {
			var all []float32
			for _, id := range a.IDs() {
				all = append(all, float32(id))
			}
			trace = append(trace, all)
		}
		return nil
	}
	train := func(method string) func() error {
		return func() error {
			o := finetune.DefaultOptions()
			if o.Prefix.Tokens = 3; method == finetune.PTuning {
				o.Noise, o.LabelSmoothing, o.KL = 5, 0.1, 0.5
			}
			o.Method, o.LoRA.Rank, o.LearningRate, o.MaxSteps, o.EvalEvery = method, 2, 1e-2, 2, 1
			o.EMA, o.Metric, o.Memory = 0.5, finetune.Accuracy, 1<<30
			var lessons []finetune.Example
			for n := 4; n < 8; n++ {
				s := lesson(n)
				lessons = append(lessons, finetune.Example{IDs: s.IDs, Labels: s.Labels})
			}
			checkpoints := finetune.Dir(filepath.Join(out, method))
			_, err := finetune.Run(ctx, m, lessons, lessons[:1], o, finetune.Hooks{State: checkpoints})
			return errors.Join(err, checkpoints.Remove())
		}
	}
	freeze := func() error { m.Freeze(); return nil }
	for _, step := range map[string][]func() error{
		lives[0]: {
			compute, answer,
			train(finetune.LoRA), compute, m.Merge,
			func() error { return m.LoadAdapter(adapter) }, compute, m.TrainAdapters, train(finetune.LoRA),
			func() error { m.RemoveAdapters(); return m.TrainAll() }, train(finetune.Full), freeze, compute,
			func() error { return m.Save(filepath.Join(out, "model")) },
		},
		lives[1]: {
			func() error { return m.LoadAdapter(prefix) }, answer, train(finetune.PTuning), compute,
			func() error { m.RemoveAdapters(); return nil }, train(finetune.Freeze),
		},
	}[which] {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return trace, nil
}

// TestMemoryOfTheDeviceIsTheDevices: on a device whose memory the host cannot
// touch, a model computes what it computes on the reference device.
func TestMemoryOfTheDeviceIsTheDevices(t *testing.T) {
	model, adapter, prefix := saved(t)
	for _, which := range lives {
		host, err := reference.Open(device.Options{Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		want, err := life(t.Context(), host, which, model, adapter, prefix, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		far := newDeferring(t)
		got, err := life(t.Context(), far, which, model, adapter, prefix, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-reference +deferring):\n%s", which, d)
		}
		if n := far.Live(); n != 0 {
			t.Errorf("%s: %d blocks of device memory are left", which, n)
		}
	}
}

// TestNothingIsLeftAfterAFault lets every single allocation fail, and the
// device break at every Sync: the error comes out, and all memory comes back.
func TestNothingIsLeftAfterAFault(t *testing.T) {
	model, adapter, prefix := saved(t)
	for _, which := range lives {
		through := newDeferring(t)
		if _, err := life(t.Context(), through, which, model, adapter, prefix, t.TempDir()); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			what  string
			times int
			fail  func(*devicetest.DeferringDevice, int)
			want  error
		}{
			{"alloc", through.Counts().Allocs, (*devicetest.DeferringDevice).FailAlloc, devicetest.ErrFull},
			{"sync", through.Counts().Syncs, (*devicetest.DeferringDevice).FailSync, devicetest.ErrFault},
		} {
			if c.times < 20 {
				t.Fatalf("%s: %d times %s: is the life that short?", which, c.times, c.what)
			}
			for n := 1; n <= c.times; n++ {
				far := newDeferring(t)
				c.fail(far, n)
				if _, err := life(t.Context(), far, which, model, adapter, prefix, t.TempDir()); !errors.Is(err, c.want) {
					t.Errorf("%s: %s %d of %d fails: error %v", which, c.what, n, c.times, err)
				}
				if left := far.Live(); left != 0 {
					t.Errorf("%s: %s %d of %d fails: %d blocks of device memory are left", which, c.what, n, c.times, left)
				}
			}
		}
	}
}

// TestAFailedStepLeavesTheModelUsable: what was there before still computes,
// though memory for adapters, gradients or a larger batch could not be had.
func TestAFailedStepLeavesTheModelUsable(t *testing.T) {
	_, adapter, prefix := saved(t)
	batch := chatglm.Pack([]chatglm.Sequence{lesson(5)})
	for name, step := range map[string]func(*chatglm.Model) error{
		"AddLoRA":     func(m *chatglm.Model) error { return m.AddLoRA(chatglm.LoRAConfig{Rank: 2}, 1) },
		"LoadAdapter": func(m *chatglm.Model) error { return m.LoadAdapter(adapter) },
		"AddPrefix":   func(m *chatglm.Model) error { return m.AddPrefix(chatglm.PrefixConfig{Tokens: 3, Projection: true}, 1) },
		"LoadPrefix":  func(m *chatglm.Model) error { return m.LoadAdapter(prefix) },
		"TrainAll":    (*chatglm.Model).TrainAll,
		"TrainPart":   func(m *chatglm.Model) error { return m.TrainPart(chatglm.Part{Last: 1}) },
		"Loss": func(m *chatglm.Model) error {
			_, _, err := m.Loss(chatglm.Pack([]chatglm.Sequence{lesson(90)}))
			return err
		},
		"Generate": func(m *chatglm.Model) error {
			_, err := m.Generate(t.Context(), [][]int32{{1, 2}}, chatglm.GenerateOptions{MaxNew: 2})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			for n := 1; ; n++ {
				dev := newDeferring(t)
				m, err := chatglm.New(tinyConfig(), dev, 1)
				if err != nil {
					t.Fatal(err)
				}
				before, _, err := m.Loss(batch)
				if err != nil {
					t.Fatal(err)
				}
				dev.FailAlloc(n)
				if err := step(m); err == nil {
					break
				} else if !errors.Is(err, devicetest.ErrFull) {
					t.Fatal(err)
				}
				after, _, err := m.Loss(batch)
				if err != nil || !slices.Equal(before, after) {
					t.Fatalf("allocation %d fails: then the loss is %v (%v), before it was %v", n, after, err, before)
				}
				_, lora := m.LoRA()
				if _, prefix := m.Prefix(); lora || prefix || len(m.Trainable()) != 0 {
					t.Fatalf("allocation %d fails: half of it stayed: %d trainable", n, len(m.Trainable()))
				}
				m.Close()
				if left := dev.Live(); left != 0 {
					t.Fatalf("allocation %d fails: %d blocks are left", n, left)
				}
			}
		})
	}
}

// TestAnUnfitAdapterIsNoLoss: the adapters that a model has stay until others
// are known to fit.
func TestAnUnfitAdapterIsNoLoss(t *testing.T) {
	_, adapter, _ := saved(t)
	m, err := chatglm.New(tinyConfig(), newDeferring(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.LoadAdapter(adapter); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(adapter, "adapter_config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for old, other := range map[string]string{`"r": 2`: `"r": 3`, `"query_key_value"`: `"query_key_value", "dense"`, `"lora_dropout": 0`: `"lora_dropout": 1`} {
		if err := os.WriteFile(path, replaced(t, text, old, other), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := m.LoadAdapter(adapter); err == nil {
			t.Errorf("%s was taken", other)
		} else {
			t.Log(err)
		}
		if c, ok := m.LoRA(); !ok || c.Rank != 2 {
			t.Errorf("%s: the adapters that were there are gone", other)
		}
	}
}

func replaced(t *testing.T, text []byte, old, other string) []byte {
	t.Helper()
	if !bytes.Contains(text, []byte(old)) {
		t.Fatalf("no %s in %s", old, text)
	}
	return bytes.Replace(text, []byte(old), []byte(other), 1)
}

// TestACheckpointKnowsItsWeights: training goes on from a checkpoint of the same
// start, and not from one of other weights, on a device whose downloads take
// their time.
func TestACheckpointKnowsItsWeights(t *testing.T) {
	checkpoints := finetune.Dir(t.TempDir())
	s := lesson(6)
	lessons := []finetune.Example{{IDs: s.IDs, Labels: s.Labels}}
	o := finetune.DefaultOptions()
	o.MaxSteps, o.SaveEvery = 2, 1
	resumed := func(seed uint64) int {
		m, err := chatglm.New(tinyConfig(), newDeferring(t), 1)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if err := m.AddLoRA(chatglm.LoRAConfig{Rank: 2}, seed); err != nil {
			t.Fatal(err)
		}
		r, err := finetune.Run(t.Context(), m, lessons, nil, o, finetune.Hooks{State: checkpoints, Overwrite: true})
		if err != nil {
			t.Fatal(err)
		}
		return r.Resumed
	}
	if first, same, other := resumed(1), resumed(1), resumed(2); first != 0 || same != 2 || other != 0 {
		t.Errorf("first run: went on from step %d, the same again: from %d, other weights: from %d; want 0, 2, 0", first, same, other)
	}
}
