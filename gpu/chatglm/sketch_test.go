package chatglm

import (
	"errors"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/dry"
)

// TestASketchTakesWhatTheModelDoes: a model and a sketch of it on a device that
// counts allocate the same bytes, in every format and with every adapter, while
// they are opened and while they train.
func TestASketchTakesWhatTheModelDoes(t *testing.T) {
	base := saved(t, "fp32")
	c, err := ReadConfig(base)
	if err != nil {
		t.Fatal(err)
	}
	for _, weights := range append(WeightFormats(), "") {
		for name, adapt := range map[string]func(*Model) error{
			"lora":   func(m *Model) error { return m.AddLoRA(LoRAConfig{Rank: 3}, 1) },
			"prefix": func(m *Model) error { return m.AddPrefix(PrefixConfig{Tokens: 5, Projection: true}, 1) },
			"full": func(m *Model) error {
				if w := m.Weights(); w != "fp32" && w != "bf16" {
					return nil
				}
				return m.TrainAll()
			},
		} {
			peak := func(open func(dev device.Device) (*Model, error)) [2]int64 {
				d := dry.New(dry.Machine{Info: device.Info{Activations: device.BF16, Residual: device.F32}})
				m, err := open(d.Checked())
				if err != nil {
					t.Fatal(err)
				}
				opened := d.Peak()
				train := len(m.params) > 0 && (name != "full" || m.Weights() == "fp32" || m.Weights() == "bf16")
				if err := errors.Join(adapt(m), m.Reserve(100, 3, train)); err != nil {
					t.Fatal(err)
				}
				all := d.Peak()
				m.Close()
				if d.Used() != 0 {
					t.Errorf("%s, %s: %d bytes are left", weights, name, d.Used())
				}
				return [2]int64{opened, all}
			}
			got := peak(func(dev device.Device) (*Model, error) { return Sketch(c, dev, OpenOptions{Weights: weights}, "fp32") })
			want := peak(func(dev device.Device) (*Model, error) { return OpenWith(base, dev, OpenOptions{Weights: weights}) })
			if got != want {
				t.Errorf("weights %q, %s: a sketch takes %d bytes, the model %d", weights, name, got, want)
			}
		}
	}
}
