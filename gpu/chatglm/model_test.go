package chatglm

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

var rewrite = flag.Bool("rewrite", false, "write golden files instead of comparing with them")

func tiny(t *testing.T, dev device.Device, change func(*Config)) *Model {
	t.Helper()
	c, _ := Shape("tiny")
	if change != nil {
		change(&c)
	}
	m, err := New(c, dev, 7)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// accumulate is Accumulate, and waits for the losses.
func accumulate(m *Model, b Batch, scale float32, counter uint64) (loss float64, targets int, err error) {
	losses, err := m.Accumulate(b, scale, counter)
	if err != nil {
		return 0, 0, err
	}
	if err := m.dev.Sync(); err != nil {
		return 0, 0, err
	}
	loss, targets = losses.Sum()
	return loss, targets, nil
}

func randomSequence(r *rand.Rand, n, vocabulary int) Sequence {
	s := Sequence{IDs: make([]int32, n), Labels: make([]int32, n)}
	for i := range n {
		s.IDs[i] = int32(r.IntN(vocabulary))
		s.Labels[i] = s.IDs[i]
		if r.IntN(3) == 0 {
			s.Labels[i] = -100
		}
	}
	return s
}

// TestGradientsByFiniteDifferences nudges some elements of every kind of weight
// and compares the change of the loss with the gradient, in models of odd
// shapes.
func TestGradientsByFiniteDifferences(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"tiny":          nil,
		"one group":     func(c *Config) { c.MultiQueryGroupNum = 1 },
		"no groups":     func(c *Config) { c.MultiQueryAttention = false },
		"three heads":   func(c *Config) { c.NumAttentionHeads, c.MultiQueryGroupNum = 3, 3 },
		"long context":  func(c *Config) { c.RopeRatio = 50 },
		"odd sizes":     func(c *Config) { c.PaddedVocabSize, c.FFNHiddenSize, c.HiddenSize = 307, 37, 29 },
		"without bias":  func(c *Config) { c.AddQKVBias = false },
		"a single head": func(c *Config) { c.NumAttentionHeads, c.MultiQueryAttention = 1, false },
	} {
		t.Run(name, func(t *testing.T) {
			dev := newReference(t)
			m := tiny(t, dev, change)
			if err := m.AddLoRA(LoRAConfig{Rank: 2, Alpha: 4, Targets: []string{"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"}}, 3); err != nil {
				t.Fatal(err)
			}
			if err := m.TrainAll(); err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(1, 2))
			for _, p := range m.params { // far from the start, where B is zero and gradients are tiny
				for i := range p.Tensor().Floats() {
					p.Tensor().Floats()[i] += float32(0.1 * r.NormFloat64())
				}
			}
			b := Pack([]Sequence{randomSequence(r, 7, m.cfg.PaddedVocabSize), randomSequence(r, 1, m.cfg.PaddedVocabSize), randomSequence(r, 12, m.cfg.PaddedVocabSize)})
			if _, _, err := accumulate(m, b, 1, 0); err != nil {
				t.Fatal(err)
			}
			loss := func() float64 {
				nll, _, err := m.Loss(b)
				if err != nil {
					t.Fatal(err)
				}
				sum := 0.0
				for _, v := range nll {
					sum += v
				}
				return sum
			}
			for _, p := range m.params {
				norm := 0.0
				for _, g := range p.Grad.Floats() {
					norm += float64(g) * float64(g)
				}
				norm = math.Sqrt(norm)
				if norm == 0 {
					t.Errorf("%s has no gradient", p.Name)
					continue
				}
				// Along its own gradient the loss changes by the gradient's norm.
				const step = 3e-3
				nudge := func(by float64) {
					for i, g := range p.Grad.Floats() {
						p.Tensor().Floats()[i] += float32(by * float64(g) / norm)
					}
				}
				nudge(step)
				up := loss()
				nudge(-2 * step)
				down := loss()
				nudge(step)
				if got := (up - down) / (2 * step); math.Abs(got-norm) > 0.02*norm+1e-3 {
					t.Errorf("%s: the loss changes by %g along the gradient, its norm is %g", p.Name, got, norm)
				}
			}
		})
	}
}

// TestPackingChangesNothing: a sequence among others gives what it gives alone.
func TestPackingChangesNothing(t *testing.T) {
	devices(t, func(t *testing.T, dev device.Device) {
		m := tiny(t, dev, nil)
		r := rand.New(rand.NewPCG(5, 6))
		var seqs []Sequence
		var alone []float64
		for _, n := range []int{5, 1, 17, 2, 9} {
			s := randomSequence(r, n, m.cfg.PaddedVocabSize)
			nll, _, err := m.Loss(Pack([]Sequence{s}))
			if err != nil {
				t.Fatal(err)
			}
			seqs, alone = append(seqs, s), append(alone, nll[0])
		}
		together, _, err := m.Loss(Pack(seqs))
		if err != nil {
			t.Fatal(err)
		}
		for i := range alone {
			if math.Abs(together[i]-alone[i]) > 1e-4 {
				t.Errorf("sequence %d: %g together, %g alone", i, together[i], alone[i])
			}
		}
	})
}

func TestSaveAndOpen(t *testing.T) {
	dev := newReference(t)
	m := tiny(t, dev, nil)
	dir := t.TempDir()
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
	back, err := Open(dir, dev)
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	if back.Config() != m.Config() {
		t.Errorf("configuration %+v, want %+v", back.Config(), m.Config())
	}
	for i, p := range m.params {
		if !slices.Equal(p.Tensor().Floats(), back.params[i].Tensor().Floats()) {
			t.Errorf("%s changed", p.Name)
		}
	}
	c := m.Config()
	c.HiddenSize *= 2
	if err := c.write(dir, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, dev); err == nil {
		t.Error("weights of another shape were taken")
	} else {
		t.Log(err)
	}
}

// TestAdapters: an adapter survives its files, computes the same when merged,
// and nothing at all before it is trained.
func TestAdapters(t *testing.T) {
	dev := newReference(t)
	r := rand.New(rand.NewPCG(2, 2))
	b := Pack([]Sequence{randomSequence(r, 9, 320)})
	logits := func(m *Model) []float32 {
		t.Helper()
		out, err := m.Logits(b)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	m := tiny(t, dev, nil)
	base := logits(m)
	all := []string{"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"}
	if err := m.AddLoRA(LoRAConfig{Rank: 3, Alpha: 6, Dropout: 0.1, Targets: all}, 5); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(base, logits(m)) {
		t.Error("new adapters change the answer")
	}
	for _, p := range m.Trainable() {
		for i := range p.Tensor().Floats() {
			p.Tensor().Floats()[i] += float32(0.1 * r.NormFloat64())
		}
	}
	tuned := logits(m)
	if slices.Equal(base, tuned) {
		t.Error("adapters change nothing")
	}
	m.UseAdapters(false)
	if !slices.Equal(base, logits(m)) {
		t.Error("switched off, adapters still count")
	}
	m.UseAdapters(true)
	dir := t.TempDir()
	if err := m.SaveAdapter(dir, "THUDM/chatglm3-6b"); err != nil {
		t.Fatal(err)
	}
	other := tiny(t, dev, nil)
	if err := other.LoadAdapter(dir); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(tuned, logits(other)) {
		t.Error("a loaded adapter computes something else")
	}
	again := t.TempDir()
	if err := other.SaveAdapter(again, "THUDM/chatglm3-6b"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"adapter_config.json", "adapter_model.safetensors"} {
		a, _ := os.ReadFile(filepath.Join(dir, name))
		b, _ := os.ReadFile(filepath.Join(again, name))
		if len(a) == 0 || !bytes.Equal(a, b) {
			t.Errorf("%s differs after a round trip", name)
		}
	}
	if err := other.Merge(); err != nil {
		t.Fatal(err)
	}
	for i, v := range logits(other) {
		if math.Abs(float64(v-tuned[i])) > 1e-4 {
			t.Fatalf("merged, logit %d is %g instead of %g", i, v, tuned[i])
		}
	}
	wide := tiny(t, dev, func(c *Config) { c.HiddenSize = 48 })
	if err := wide.LoadAdapter(dir); err == nil {
		t.Error("an adapter of another base was taken")
	} else {
		t.Log(err)
	}
}

func TestDescribe6B(t *testing.T) {
	c, ok := Shape("chatglm3-6b")
	if !ok {
		t.Fatal("no such shape")
	}
	info, err := Describe(c, &LoRAConfig{Rank: 8})
	if err != nil {
		t.Fatal(err)
	}
	// The counts that the original project reports.
	if info.Parameters != 6_243_584_000 || info.Trainable != 1_949_696 {
		t.Errorf("%d parameters, %d trainable", info.Parameters, info.Trainable)
	}
}

func TestOriginalConfigIsRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), shared(t, "config.chatglm3-6b.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := Shape("chatglm3-6b")
	want.SeqLength, want.RopeRatio = 32768, 50 // the file is that of the 32k variant
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestFirstLosses: the first ten losses of a fixed training are golden, exact on
// the reference device.
func TestFirstLosses(t *testing.T) {
	devices(t, func(t *testing.T, dev device.Device) {
		m := tiny(t, dev, nil)
		if err := m.TrainAll(); err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(11, 12))
		b := Pack([]Sequence{randomSequence(r, 20, 320), randomSequence(r, 30, 320)})
		var losses []float64
		for range 10 {
			for _, p := range m.params {
				dev.Zero(p.Grad.Mem)
			}
			nll, n, err := accumulate(m, b, 1, 0)
			if err != nil {
				t.Fatal(err)
			}
			losses = append(losses, nll/float64(n))
			for _, p := range m.params {
				dev.Axpy(p.Tensor(), -0.05/float32(n), p.Grad)
			}
		}
		path := filepath.Join("testdata", "first_losses.json")
		if *rewrite && dev.Info().Backend == "reference" {
			text, _ := json.MarshalIndent(losses, "", " ")
			if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var want []float64
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		tolerance := 0.0
		if dev.Info().Backend != "reference" {
			tolerance = 1e-5
		}
		for i := range want {
			if !(math.Abs(losses[i]-want[i]) <= tolerance) {
				t.Errorf("loss %d is %v, golden %v", i, losses[i], want[i])
			}
		}
		if losses[9] >= losses[0] {
			t.Errorf("nothing was learned: %v", losses)
		}
	})
}

func TestBadBatches(t *testing.T) {
	m := tiny(t, newReference(t), nil)
	for name, b := range map[string]Batch{
		"empty":               {},
		"id out of range":     Pack([]Sequence{{IDs: []int32{1, 320}}}),
		"negative id":         Pack([]Sequence{{IDs: []int32{-1}}}),
		"label out of range":  Pack([]Sequence{{IDs: []int32{1, 2}, Labels: []int32{1, 999}}}),
		"starts do not cover": {IDs: []int32{1, 2}, Labels: []int32{1, 2}, Positions: []int32{0, 1}, CuSeqlens: []int32{0, 1}},
	} {
		if _, _, err := m.Loss(b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func ExampleDescribe() {
	c, _ := Shape("chatglm3-6b")
	info, err := Describe(c, &LoRAConfig{Rank: 8})
	fmt.Println(info.Parameters, info.Trainable, err)
	// Output: 6243584000 1949696 <nil>
}
