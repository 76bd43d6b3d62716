package finetune

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
)

// TestAnotherRunsCheckpointsStay: a run that finds checkpoints of another one says
// what is different, and touches nothing until it is told to.
func TestAnotherRunsCheckpointsStay(t *testing.T) {
	type circumstances struct {
		options     Options
		hooks       Hooks
		train, held []Example
		model       uint64 // seed of the base's weights
	}
	run := func(c circumstances) (Result, error) {
		m, err := chatglm.New(toyConfig(), open(t, 1), c.model)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		return Run(t.Context(), m, c.train, c.held, c.options, c.hooks)
	}
	first := func() circumstances {
		return circumstances{toyOptions(), Hooks{State: inMemory{}, Base: "one"}, counting(24, 0, 1), counting(6, 3, 1), 1}
	}
	then := first()
	if _, err := run(then); err != nil {
		t.Fatal(err)
	}
	saved := then.hooks.State.(inMemory)
	for name, c := range map[string]struct {
		vary func(*circumstances)
		want []string // nil where it is the same run
	}{
		"nothing":     {func(*circumstances) {}, nil},
		"memory":      {func(c *circumstances) { c.options.Memory, c.options.SaveEvery = 1<<30, 1 }, nil},
		"an option":   {func(c *circumstances) { c.options.LearningRate = 0.002 }, []string{"learning_rate was 0.01, is 0.002"}},
		"two options": {func(c *circumstances) { c.options.Epochs, c.options.LoRA.Alpha = 3, 16 }, []string{"epochs was 2, is 3", "lora.alpha was 8, is 16"}},
		"base":        {func(c *circumstances) { c.hooks.Base = "another" }, []string{"the base model is another, or its files have changed"}},
		"training":    {func(c *circumstances) { c.train = counting(23, 0, 1) }, []string{"the training conversations are others"}},
		"validation":  {func(c *circumstances) { c.held = counting(6, 2, 1) }, []string{"the validation conversations are others"}},
	} {
		t.Run(name, func(t *testing.T) {
			now, store := first(), maps.Clone(saved)
			now.hooks.State = store
			c.vary(&now)
			r, err := run(now)
			if c.want == nil {
				if err != nil || r.Resumed == 0 {
					t.Errorf("went on from step %d: %v", r.Resumed, err)
				}
				return
			}
			var foreign *ForeignError
			if !errors.As(err, &foreign) || strings.Join(foreign.Different, "; ") != strings.Join(c.want, "; ") {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
			if !maps.EqualFunc(store, saved, bytes.Equal) {
				t.Error("checkpoints have changed")
			}
			now.hooks.Overwrite = true
			if r, err := run(now); err != nil || r.Resumed != 0 {
				t.Errorf("told to write over them: went on from step %d (%v), want the beginning", r.Resumed, err)
			}
			now.hooks.Overwrite = false // its own are there now
			if r, err := run(now); err != nil || r.Resumed == 0 {
				t.Errorf("once more: went on from step %d (%v), want its own checkpoint", r.Resumed, err)
			}
		})
	}
	t.Run("start", func(t *testing.T) { // a full training begins with the base's weights
		now := first()
		now.options.Method = Full
		if _, err := run(now); err != nil {
			t.Fatal(err)
		}
		now.model = 2
		if _, err := run(now); err == nil || !strings.HasSuffix(err.Error(), "write over: the weights that training starts from are others") {
			t.Errorf("error %v, want one that names the weights", err)
		}
	})
}

// TestCheckpointsOfEarlierVersions do not say what they are of: they are used if
// they are of this run, and stay if not.
func TestCheckpointsOfEarlierVersions(t *testing.T) {
	store := inMemory{}
	if _, err := train(t.Context(), t, 1, Hooks{State: store}); err != nil {
		t.Fatal(err)
	}
	for name, text := range store {
		f, err := safetensors.NewFile(name, bytes.NewReader(text), int64(len(text)))
		if err != nil {
			t.Fatal(err)
		}
		store[name] = withoutParts(t, f)
	}
	if r, err := train(t.Context(), t, 1, Hooks{State: store}); err != nil || r.Result.Resumed == 0 {
		t.Errorf("went on from step %d (%v), want the checkpoint of the same run", r.Result.Resumed, err)
	}
	_, err := train(t.Context(), t, 1, Hooks{State: store, Base: "another"})
	var foreign *ForeignError
	if !errors.As(err, &foreign) || !strings.Contains(err.Error(), "did not write down which") {
		t.Errorf("error %v, want a sentence", err)
	}
}

// withoutParts is a checkpoint as it was before it said what it is of.
func withoutParts(t *testing.T, f *safetensors.File) []byte {
	t.Helper()
	var s map[string]json.RawMessage
	if err := json.Unmarshal([]byte(f.Metadata()[stateKey]), &s); err != nil {
		t.Fatal(err)
	}
	if s["parts"] == nil {
		t.Fatal("the checkpoint does not say what it is of")
	}
	delete(s, "parts")
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return asItWas(t, f, string(text))
}

// asItWas is a checkpoint of another state, written as when the digest was part of
// the metadata.
func asItWas(t *testing.T, f *safetensors.File, state string) []byte {
	t.Helper()
	var out []safetensors.Output
	d := newDigest(state)
	for _, tensor := range f.Tensors() {
		if tensor.Name == digestKey {
			continue
		}
		values := make([]float32, tensor.Len())
		if err := f.Read(tensor.Name, values); err != nil {
			t.Fatal(err)
		}
		d.add(tensor.Name, values)
		out = append(out, safetensors.Values(tensor.Name, tensor.Shape, values))
	}
	var b bytes.Buffer
	if err := safetensors.Write(&b, out, map[string]string{stateKey: state, digestKey: hex.EncodeToString(d.Sum(nil))}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
