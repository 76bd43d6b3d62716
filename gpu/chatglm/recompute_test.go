package chatglm_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/cpu"
	"github.com/glmflow/glmflow/gpu/device/reference"
)

// meter counts the bytes that a device has given out.
type meter struct {
	device.Device
	now int64
}

func (m *meter) Alloc(n int) (device.Mem, error) {
	m.now += int64(n)
	return m.Device.Alloc(n)
}

func (m *meter) Free(mem device.Mem) {
	m.now -= int64(mem.N)
	m.Device.Free(mem)
}

// TestRecomputingChangesNothing: with any number of layers that keep only their
// input, loss and gradients are the same bits, and the activations take exactly
// what was announced.
func TestRecomputingChangesNothing(t *testing.T) {
	config := tinyConfig()
	config.NumLayers = 3
	batch := chatglm.Pack([]chatglm.Sequence{lesson(5), lesson(9), lesson(2)})
	for name, open := range map[string]func(device.Options) (device.Device, error){
		"reference": func(o device.Options) (device.Device, error) { return reference.Open(o) },
		"cpu":       cpu.Open,
	} {
		for method, prepare := range map[string]func(*chatglm.Model) error{
			"full": (*chatglm.Model).TrainAll,
			"lora": func(m *chatglm.Model) error {
				return m.AddLoRA(chatglm.LoRAConfig{Rank: 2, Dropout: 0.3, Targets: []string{"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"}}, 1)
			},
			"prefix": func(m *chatglm.Model) error {
				return m.AddPrefix(chatglm.PrefixConfig{Tokens: 3, Projection: true, Dropout: 0.3}, 1)
			},
			"anchored": func(m *chatglm.Model) error {
				return errors.Join(m.AddLoRA(chatglm.LoRAConfig{Rank: 2}, 1), m.SetObjective(chatglm.Objective{KL: 1, Noise: 5}))
			},
			"last layers": func(m *chatglm.Model) error { return m.TrainPart(chatglm.Part{Last: 3}) },
		} {
			for _, precision := range []string{"fp32", "bf16"} {
				t.Run(fmt.Sprint(name, " ", method, " ", precision), func(t *testing.T) {
					dev, err := open(device.Options{Workers: 2, Precision: precision})
					if errors.Is(err, cpu.ErrNotBuilt) {
						t.Skip(err)
					}
					if err != nil {
						t.Fatal(err)
					}
					defer dev.Close()
					memory := &meter{Device: dev}
					var want [][]float32
					before := int64(1 << 62)
					for recompute := range config.NumLayers + 2 {
						m, err := chatglm.New(config, memory, 1)
						if err != nil {
							t.Fatal(err)
						}
						if err := prepare(m); err != nil {
							t.Fatal(err)
						}
						m.Recompute(recompute)
						without := memory.now
						for micro := range uint64(2) {
							if _, err := m.Accumulate(batch, 0.1, micro); err != nil {
								t.Fatal(err)
							}
						}
						announced, taken := m.ActivationBytes(len(batch.IDs), recompute), memory.now-without
						if announced != taken {
							t.Errorf("%d layers made again: %d bytes announced, %d taken", recompute, announced, taken)
						}
						if least := recompute > 1 && recompute <= config.NumLayers; least && taken >= before {
							t.Errorf("%d layers made again take %d bytes, one fewer took %d", recompute, taken, before)
						}
						before = taken
						var got [][]float32
						for _, p := range m.Trainable() {
							g := make([]float32, p.Grad.Len())
							dev.Download(device.Raw(g), p.Grad.Mem)
							got = append(got, g)
						}
						m.Close()
						if recompute == 0 {
							want = got
						} else if d := cmp.Diff(want, got); d != "" {
							t.Errorf("%d layers made again (-kept +made again):\n%s", recompute, d)
						}
					}
					if memory.now != 0 {
						t.Errorf("%d bytes are left", memory.now)
					}
				})
			}
		}
	}
}
