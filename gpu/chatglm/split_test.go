package chatglm

import (
	"math"
	"slices"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

// TestSplitWeightsLearnWhatFloat32Does: weights in bfloat16 with their lower
// halves beside them follow an update of float32 bit for bit, steps below the
// precision of bfloat16 included; passes read the rounded half.
func TestSplitWeightsLearnWhatFloat32Does(t *testing.T) {
	dir := saved(t, "fp32")
	for _, gradients := range []device.Format{device.F32, device.BF16} {
		m := opened(t, dir, openReference(t), "bf16")
		if err := m.TrainIn(gradients); err != nil {
			t.Fatal(err)
		}
		if err := m.TrainAll(); err != nil {
			t.Fatal(err)
		}
		one, err := device.NewTensor(m.dev, device.F32, 1)
		if err != nil {
			t.Fatal(err)
		}
		one.Floats()[0] = 1
		const lr = 1e-5
		want := map[string][]float32{}
		for _, p := range m.params {
			want[p.Name] = make([]float32, p.Len())
			if err := m.Values(p, want[p.Name]); err != nil {
				t.Fatal(err)
			}
		}
		for range 20 {
			for _, g := range m.Gradients() {
				m.dev.Zero(g.Mem)
			}
			if _, _, err := accumulate(m, batchOf(), 1, 0); err != nil {
				t.Fatal(err)
			}
			for _, p := range m.params {
				grad, err := m.download(p.Grad)
				if err != nil {
					t.Fatal(err)
				}
				w := want[p.Name]
				for i, g := range grad {
					w[i] -= lr * g
				}
			}
			for _, r := range m.Runs(func(a, b *Param) bool { return true }) {
				m.dev.SGD(r.Weights, r.Grad, device.Moment{}, one, device.SGD{LR: lr})
			}
		}
		moved := 0
		for _, p := range m.params {
			got := make([]float32, p.Len())
			if err := m.Values(p, got); err != nil {
				t.Fatal(err)
			}
			for i, v := range got {
				if w := want[p.Name][i]; math.Abs(float64(v-w)) > 1e-6*math.Abs(float64(w))+1e-12 {
					t.Fatalf("gradients in %v: %s: weight %d is %g, in float32 %g", gradients, p.Name, i, v, w)
				}
			}
			if p.W.Format == device.BF16 {
				rounded, err := m.download(p.Tensor())
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(rounded, got) {
					moved++
				}
			}
		}
		if moved == 0 {
			t.Error("no weight has lower halves: the steps were not below the precision")
		}
		m.Close()
	}
}
