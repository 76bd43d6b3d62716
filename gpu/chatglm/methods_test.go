package chatglm

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

// all are the linears that LoRA may stand beside.
func all() []string { return []string{"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"} }

// A method is a way to train, for the tests that all of them must pass.
type method struct {
	prepare   func(*Model) error
	objective Objective
}

func methods() map[string]method {
	lora := func(c LoRAConfig) func(*Model) error { return func(m *Model) error { return m.AddLoRA(c, 3) } }
	prefix := func(c PrefixConfig) func(*Model) error { return func(m *Model) error { return m.AddPrefix(c, 3) } }
	part := func(p Part) func(*Model) error { return func(m *Model) error { return m.TrainPart(p) } }
	return map[string]method{
		"full":              {prepare: (*Model).TrainAll},
		"full, smoothed":    {prepare: (*Model).TrainAll, objective: Objective{LabelSmoothing: 0.2}},
		"full, noise":       {prepare: (*Model).TrainAll, objective: Objective{Noise: 5, Seed: 4}},
		"last layer":        {prepare: part(Part{Last: 1})},
		"first layer":       {prepare: part(Part{First: 1})},
		"mlps":              {prepare: part(Part{Modules: []string{"mlp"}})},
		"last down":         {prepare: part(Part{Last: 1, Modules: []string{"dense_4h_to_h"}})},
		"last up":           {prepare: part(Part{Last: 1, Modules: []string{"dense_h_to_4h"}})},
		"last dense":        {prepare: part(Part{Last: 1, Modules: []string{"self_attention.dense"}})},
		"second norms":      {prepare: part(Part{Modules: []string{"post_attention_layernorm"}})},
		"first norm":        {prepare: part(Part{First: 1, Modules: []string{"input_layernorm"}})},
		"biases":            {prepare: part(Part{Modules: []string{"bias"}})},
		"output":            {prepare: part(Part{Modules: []string{"output_layer"}})},
		"final norm":        {prepare: part(Part{Modules: []string{"final_layernorm"}})},
		"embedding":         {prepare: part(Part{Modules: []string{"embedding"}})},
		"lora":              {prepare: lora(LoRAConfig{Rank: 2, Alpha: 4, Targets: all()})},
		"lora, dropout":     {prepare: lora(LoRAConfig{Rank: 2, Alpha: 4, Dropout: 0.3, Targets: all()})},
		"lora, one linear":  {prepare: lora(LoRAConfig{Rank: 3, Alpha: 4, Targets: []string{"dense_h_to_4h"}})},
		"rslora":            {prepare: lora(LoRAConfig{Rank: 3, Alpha: 4, RSLoRA: true})},
		"lora, anchor":      {prepare: lora(LoRAConfig{Rank: 2, Alpha: 4, Targets: all()}), objective: Objective{KL: 0.7}},
		"prefix":            {prepare: prefix(PrefixConfig{Tokens: 3})},
		"prefix, dropout":   {prepare: prefix(PrefixConfig{Tokens: 5, Dropout: 0.3})},
		"prefix, projected": {prepare: prefix(PrefixConfig{Tokens: 4, Projection: true})},
		"prefix, projected, dropout, anchor, smoothed, noise": {
			prepare:   prefix(PrefixConfig{Tokens: 4, Projection: true, Dropout: 0.1}),
			objective: Objective{KL: 0.5, LabelSmoothing: 0.1, Noise: 5, Seed: 9},
		},
		"lora and prefix": {
			prepare: func(m *Model) error {
				return errors.Join(m.AddLoRA(LoRAConfig{Rank: 2, Alpha: 4, Dropout: 0.1, Targets: all()}, 3), m.AddPrefix(PrefixConfig{Tokens: 3, Dropout: 0.1}, 4))
			},
			objective: Objective{KL: 2},
		},
	}
}

// small is a model that an oracle can differentiate, far from where training
// begins.
func small(t *testing.T, dev device.Device, prepare func(*Model) error) *Model {
	t.Helper()
	m := tiny(t, dev, func(c *Config) {
		c.HiddenSize, c.FFNHiddenSize, c.PaddedVocabSize, c.KVChannels = 12, 10, 13, 4
	})
	if err := prepare(m); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	if err := m.fill(m.params, func(p *Param, dst []float32) error {
		m.dev.Download(device.Raw(dst), p.W.Data)
		for i := range dst {
			dst[i] += float32(0.2 * r.NormFloat64())
		}
		return m.dev.Sync()
	}); err != nil {
		t.Fatal(err)
	}
	return m
}

func smallBatch() Batch {
	r := rand.New(rand.NewPCG(3, 4))
	return Pack([]Sequence{randomSequence(r, 6, 13), randomSequence(r, 1, 13), randomSequence(r, 4, 13)})
}

// TestMethodsAgainstFloat64 holds the loss and every gradient of every method to
// the oracle.
func TestMethodsAgainstFloat64(t *testing.T) {
	for name, method := range methods() {
		t.Run(name, func(t *testing.T) {
			devices(t, func(t *testing.T, dev device.Device) {
				const step, nudge = 7, 1e-5
				m := small(t, dev, method.prepare)
				if err := m.SetObjective(method.objective); err != nil {
					t.Fatal(err)
				}
				b := smallBatch()
				truth := newOracle(m, step)
				loss, _, err := accumulate(m, b, 1, step)
				if err != nil {
					t.Fatal(err)
				}
				near(t, "loss", []float32{float32(loss)}, []float64{truth.loss(b)}, 1e-5)
				for _, p := range m.params {
					if !p.Trainable() {
						continue
					}
					grad := make([]float32, p.Grad.Len())
					dev.Download(device.Raw(grad), p.Grad.Mem)
					var got []float32
					var want []float64
					w := truth.w[p.Name]
					stride := 1 + len(w)/25 // some of a large one
					for i := 0; i < len(w); i += stride {
						old := w[i]
						w[i] = old + nudge
						up := truth.loss(b)
						w[i] = old - nudge
						want, got = append(want, (up-truth.loss(b))/(2*nudge)), append(got, grad[i])
						w[i] = old
					}
					near(t, "gradient of "+p.Name, got, want, 2e-5)
				}
			})
		})
	}
}

// TestMethodsLearn: plain gradient descent brings down the loss of every method
// on a batch that it sees again and again.
func TestMethodsLearn(t *testing.T) {
	for name, method := range methods() {
		t.Run(name, func(t *testing.T) {
			dev := newReference(t)
			m := small(t, dev, method.prepare)
			if err := m.SetObjective(method.objective); err != nil {
				t.Fatal(err)
			}
			b := smallBatch()
			descend := func() float64 {
				for _, p := range m.Trainable() {
					dev.Zero(p.Grad.Mem)
				}
				loss, n, err := accumulate(m, b, 1, 0)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range m.Trainable() {
					dev.Axpy(p.Tensor(), -0.05/float32(n), p.Grad)
				}
				return loss
			}
			first, last := descend(), 0.0
			for range 30 {
				last = descend()
			}
			if !(last < first-1e-4) {
				t.Errorf("the loss went from %g to %g", first, last)
			}
		})
	}
}

// TestOnlyTheTrainedMoves: a frozen weight has no gradient, and of the methods
// that train a part each has exactly the weights that its name says.
func TestOnlyTheTrainedMoves(t *testing.T) {
	for name, want := range map[string]func(string) bool{
		"last layer":       func(n string) bool { return strings.Contains(n, "layers.1.") },
		"first layer":      func(n string) bool { return strings.Contains(n, "layers.0.") },
		"mlps":             func(n string) bool { return strings.Contains(n, ".mlp.") },
		"last dense":       func(n string) bool { return n == layerName(1, "self_attention.dense.weight") },
		"biases":           func(n string) bool { return strings.HasSuffix(n, ".bias") },
		"output":           func(n string) bool { return n == outputName },
		"embedding":        func(n string) bool { return n == embeddingName },
		"lora, one linear": func(n string) bool { return strings.Contains(n, "dense_h_to_4h.lora_") },
		"prefix":           func(n string) bool { return n == tableName },
	} {
		m := small(t, newReference(t), methods()[name].prepare)
		for _, p := range m.params {
			if p.Trainable() != want(p.Name) {
				t.Errorf("%s: %s is trainable: %t", name, p.Name, p.Trainable())
			}
		}
	}
}

// TestPartsThatAreNot are refused with what is wrong.
func TestPartsThatAreNot(t *testing.T) {
	for want, p := range map[string]Part{
		"set train_last":      {},
		"want 0 or more":      {First: -1},
		"has 2 layers":        {First: 2, Last: 1},
		`"dense_x"`:           {Modules: []string{"dense_x"}},
		`"":`:                 {Modules: []string{""}},
		"not in the layers":   {Last: 1, Modules: []string{"layers.0"}},
		"no weight of the mo": {Modules: []string{"ml"}},
	} {
		m := tiny(t, newReference(t), nil)
		if err := m.TrainPart(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want one with %q", p, err, want)
		}
		if n := len(m.Trainable()); n != 0 {
			t.Errorf("%+v: %d weights are trainable", p, n)
		}
	}
}

// TestTrainableCounts are those that the originals report.
func TestTrainableCounts(t *testing.T) {
	c, _ := Shape("chatglm3-6b")
	if n, err := (PrefixConfig{}).Parameters(c); err != nil || n != 1_835_008 {
		t.Errorf("a prefix has %d weights (%v), officially 1,835,008", n, err)
	}
	// 128·14336 + (14336·4096 + 4096) + (4096·14336 + 14336)
	if n, err := (PrefixConfig{Projection: true}).Parameters(c); err != nil || n != 119_293_952 {
		t.Errorf("a projected prefix has %d weights (%v)", n, err)
	}
	n := 0
	for _, s := range c.specs() {
		if (Part{Last: 3, Modules: []string{"mlp"}}).wants(s.name, c.NumLayers) {
			n += s.len()
		}
	}
	if n != 504_889_344 {
		t.Errorf("the last three MLPs have %d weights, in ChatGLM-Efficient-Tuning 504,889,344", n)
	}
}

// counter counts the backward operators that run.
type counter struct {
	device.Device
	linears, attentions int
}

func (c *counter) LinearBackward(dx, dy, x device.Tensor, m int, l *device.Linear, g *device.LinearGrad) {
	c.linears++
	c.Device.LinearBackward(dx, dy, x, m, l, g)
}

func (c *counter) AttentionBackward(dqkv, do, o, lse, qkv device.Tensor, p *device.Pass, s device.Heads, x, dx *device.Prefix) {
	c.attentions++
	c.Device.AttentionBackward(dqkv, do, o, lse, qkv, p, s, x, dx)
}

// TestTheBackwardPassEndsAtTheLowest: nothing is computed for layers, or parts of
// one, that lie below everything trainable.
func TestTheBackwardPassEndsAtTheLowest(t *testing.T) {
	for name, want := range map[string][2]int{ // backward passes of linears and of attention
		"output": {0, 0}, "final norm": {0, 0}, "last down": {1, 0}, "last up": {2, 0}, "last dense": {3, 0},
		"last layer": {4, 1}, "full": {8, 2}, "lora": {8, 2},
		"prefix": {7, 2}, // all but the lowest query_key_value, which only the embedding would read
	} {
		dev := &counter{Device: newReference(t)}
		m := small(t, dev, methods()[name].prepare)
		if _, _, err := accumulate(m, smallBatch(), 1, 0); err != nil {
			t.Fatal(err)
		}
		if got := [2]int{dev.linears, dev.attentions}; got != want {
			t.Errorf("%s: %d linears and %d attentions went backward, want %v", name, got[0], got[1], want)
		}
	}
}

// TestAPrefixIsWhatWasSaidBefore: with the keys and values of a text for prefix,
// what follows gets the scores that it has after the text.
func TestAPrefixIsWhatWasSaidBefore(t *testing.T) {
	devices(t, func(t *testing.T, dev device.Device) {
		m := small(t, dev, func(*Model) error { return nil })
		r := rand.New(rand.NewPCG(6, 6))
		text, rest := randomSequence(r, 9, 13).IDs, randomSequence(r, 5, 13).IDs
		want, err := m.Logits(Pack([]Sequence{{IDs: slices.Concat(text, rest)}}))
		if err != nil {
			t.Fatal(err)
		}
		d, err := m.newDecoder(1, GenerateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer d.close()
		said := &turn{ids: text, sampling: device.Sampling{Penalty: 1, TopP: 1}}
		if err := d.advance(t.Context(), []*turn{said}); err != nil {
			t.Fatal(err)
		}
		if err := m.AddPrefix(PrefixConfig{Tokens: len(text)}, 1); err != nil {
			t.Fatal(err)
		}
		line := m.cfg.groups() * m.cfg.KVChannels
		for n := range len(text) {
			for l, c := range d.pages.cache {
				at, from := n*m.prefix.table.Shape[1]+2*l*line, (int(said.pages[0])*device.PagePositions+n)*line
				dev.Copy(m.prefix.table.Tensor().Slice(at, at+line), c.K.Slice(from, from+line))
				dev.Copy(m.prefix.table.Tensor().Slice(at+line, at+2*line), c.V.Slice(from, from+line))
			}
		}
		b := Pack([]Sequence{{IDs: rest}})
		for i := range b.Positions {
			b.Positions[i] += int32(len(text))
		}
		got, err := m.Logits(b)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range got {
			if w := want[len(text)*m.cfg.PaddedVocabSize+i]; math.Abs(float64(v-w)) > 1e-5 {
				t.Fatalf("score %d is %g, after the text itself %g", i, v, w)
			}
		}
	})
}

// TestPrefixedPackingAndGeneration: a sequence among others gives what it gives
// alone, and the cache gives what full passes give, after a prefix as well.
func TestPrefixedPackingAndGeneration(t *testing.T) {
	for name, c := range map[string]PrefixConfig{"plain": {Tokens: 3}, "projected": {Tokens: 70, Projection: true}} {
		t.Run(name, func(t *testing.T) {
			devices(t, func(t *testing.T, dev device.Device) {
				m := small(t, dev, func(m *Model) error { return m.AddPrefix(c, 2) })
				r := rand.New(rand.NewPCG(5, 6))
				var seqs []Sequence
				var prompts [][]int32
				for _, n := range []int{5, 1, 17, 2, 9} {
					s := randomSequence(r, n, 13)
					seqs, prompts = append(seqs, s), append(prompts, s.IDs)
				}
				together, _, err := m.Loss(Pack(seqs))
				if err != nil {
					t.Fatal(err)
				}
				answers, err := m.Generate(t.Context(), prompts, GenerateOptions{MaxNew: 6})
				if err != nil {
					t.Fatal(err)
				}
				session, err := m.NewSession()
				if err != nil {
					t.Fatal(err)
				}
				defer session.Close()
				for i, s := range seqs {
					alone, _, err := m.Loss(Pack([]Sequence{s}))
					if err != nil {
						t.Fatal(err)
					}
					if math.Abs(together[i]-alone[0]) > 1e-4 {
						t.Errorf("sequence %d: %g together, %g alone", i, together[i], alone[0])
					}
					ids := slices.Clone(s.IDs)
					for range 6 {
						logits, err := m.Logits(Pack([]Sequence{{IDs: ids}}))
						if err != nil {
							t.Fatal(err)
						}
						last := logits[len(logits)-13:]
						ids = append(ids, int32(slices.Index(last, slices.Max(last))))
					}
					if got := answers[i].IDs(); !slices.Equal(got, ids[len(s.IDs):]) {
						t.Errorf("prompt %d: the cache gives %v, full passes %v", i, got, ids[len(s.IDs):])
					}
					answer, err := session.Generate(t.Context(), s.IDs, GenerateOptions{MaxNew: 6})
					if err != nil || !slices.Equal(answer.IDs(), ids[len(s.IDs):]) {
						t.Errorf("prompt %d: a session gives %v (%v), full passes %v", i, answer.IDs(), err, ids[len(s.IDs):])
					}
				}
			})
		})
	}
}

// TestTheKLHoldsOnToTheBase: where tuned and base are the same it costs
// nothing and pulls nowhere; without a base it is an error.
func TestTheKLHoldsOnToTheBase(t *testing.T) {
	dev := newReference(t)
	b := smallBatch()
	gradients := func(anchor float32) (float64, [][]float32) {
		m := tiny(t, dev, nil)
		if err := errors.Join(m.AddLoRA(LoRAConfig{Rank: 2}, 1), m.SetObjective(Objective{KL: anchor})); err != nil {
			t.Fatal(err)
		}
		loss, _, err := accumulate(m, b, 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		var all [][]float32
		for _, p := range m.Trainable() {
			all = append(all, slices.Clone(p.Grad.Floats()))
		}
		return loss, all
	}
	plain, want := gradients(0)
	held, got := gradients(3)
	if math.Abs(plain-held) > 1e-5 {
		t.Errorf("untrained adapters cost %g with an anchor, %g without", held, plain)
	}
	for i := range want {
		for j, w := range want[i] {
			if math.Abs(float64(w-got[i][j])) > 1e-5 {
				t.Fatalf("gradient %d[%d] is %g with an anchor, %g without", i, j, got[i][j], w)
			}
		}
	}
	m := tiny(t, dev, nil)
	if err := errors.Join(m.TrainAll(), m.SetObjective(Objective{KL: 1})); err != nil {
		t.Fatal(err)
	}
	if _, _, err := accumulate(m, b, 1, 0); !errors.Is(err, ErrNoReference) {
		t.Errorf("error %v, want ErrNoReference", err)
	}
}
