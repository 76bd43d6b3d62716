package chatglm

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/cpu"
)

// TestVariantsAgainstFloat64 holds logits, loss and gradients of models of odd
// shapes to the oracle: on the reference device and the C device in float32, and
// there with the operands of products in bfloat16.
func TestVariantsAgainstFloat64(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"rope ratio 50": func(c *Config) { c.RopeRatio = 50 },
		"one group":     func(c *Config) { c.MultiQueryGroupNum = 1 },
		"four groups":   func(c *Config) { c.NumAttentionHeads, c.MultiQueryGroupNum = 8, 4 },
		"no groups":     func(c *Config) { c.MultiQueryAttention = false },
		"three heads":   func(c *Config) { c.NumAttentionHeads, c.MultiQueryGroupNum = 3, 1 },
		"five of five":  func(c *Config) { c.NumAttentionHeads, c.MultiQueryGroupNum = 5, 5 },
		"prime sizes":   func(c *Config) { c.HiddenSize, c.FFNHiddenSize, c.PaddedVocabSize = 13, 19, 31 },
		"heads of 12":   func(c *Config) { c.KVChannels = 12 },
		"no bias":       func(c *Config) { c.AddQKVBias = false },
		"one layer":     func(c *Config) { c.NumLayers = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Run("float32", func(t *testing.T) {
				devices(t, func(t *testing.T, dev device.Device) { variant(t, dev, change, 2e-5) })
			})
			t.Run("bfloat16", func(t *testing.T) {
				dev, err := cpu.Open(device.Options{Workers: 2, Precision: "bf16"})
				if errors.Is(err, cpu.ErrNotBuilt) {
					t.Skip(err)
				}
				if err != nil {
					t.Fatal(err)
				}
				defer dev.Close()
				variant(t, dev, change, 8e-2) // eight bits of each operand and of each activation, in networks a dozen wide
			})
		})
	}
}

// variant compares one model on one device.
func variant(t *testing.T, dev device.Device, change func(*Config), tolerance float64) {
	m := tiny(t, dev, func(c *Config) {
		c.HiddenSize, c.FFNHiddenSize, c.PaddedVocabSize, c.KVChannels = 12, 10, 17, 8
		change(c)
	})
	defer m.Close()
	if err := errors.Join(m.AddLoRA(LoRAConfig{Rank: 3, Alpha: 4, Targets: all()}, 3), m.TrainAll()); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	if err := m.fill(m.params, func(p *Param, dst []float32) error {
		dev.Download(device.Raw(dst), p.W.Data)
		for i := range dst {
			dst[i] += float32(0.2 * r.NormFloat64())
		}
		return dev.Sync()
	}); err != nil {
		t.Fatal(err)
	}
	v := m.cfg.PaddedVocabSize
	b := Pack([]Sequence{randomSequence(r, 7, v), randomSequence(r, 1, v), randomSequence(r, 5, v)})
	for i := range b.Positions { // far from the start, where a wrong base would not show
		b.Positions[i] += 100 * b.Positions[i]
	}
	truth := newOracle(m, 0)
	var scores []float64
	for _, row := range truth.logits(b, true) {
		scores = append(scores, row...)
	}
	got, err := m.Logits(b)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "logits", got, scores, tolerance)
	loss, _, err := accumulate(m, b, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "loss", []float32{float32(loss)}, []float64{truth.loss(b)}, tolerance)
	for _, p := range m.params {
		const nudge = 1e-5
		grad := make([]float32, p.Grad.Len())
		dev.Download(device.Raw(grad), p.Grad.Mem)
		var some []float32
		var want []float64
		w := truth.w[p.Name]
		for i := 0; i < len(w); i += 1 + len(w)/10 {
			old := w[i]
			w[i] = old + nudge
			up := truth.loss(b)
			w[i] = old - nudge
			want, some = append(want, (up-truth.loss(b))/(2*nudge)), append(some, grad[i])
			w[i] = old
		}
		near(t, "gradient of "+p.Name, some, want, tolerance)
	}
}
