package chatglm

import (
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

// TestDropoutStreamsAreIndependent: no batch drops what another one drops, only
// shifted by some elements.
func TestDropoutStreamsAreIndependent(t *testing.T) {
	m := tiny(t, newReference(t), nil)
	if err := m.AddLoRA(LoRAConfig{Rank: 2}, 0); err != nil {
		t.Fatal(err)
	}
	if err := m.Reserve(1, 1, true); err != nil {
		t.Fatal(err)
	}
	a := m.activations(1)
	const elements, furthest = 4000, 32
	kept := func(step uint64) []bool {
		l := m.linear(&m.layers[0].qkv, 0, 0, &pass{activations: a, train: true, step: step})
		mask := make([]bool, elements)
		for i := range mask {
			mask[i] = device.Uniform(l.LoRA.Seed, uint64(i)) >= l.LoRA.Dropout
		}
		return mask
	}
	for _, seed := range []uint64{0, 1, 42} {
		m.SetDropout(0.5, seed)
		for step := range uint64(4) {
			first, second := kept(step), kept(step+1)
			for shift := range furthest {
				equal := 0
				for i := range elements - shift {
					if first[i+shift] == second[i] {
						equal++
					}
				}
				if share := float64(equal) / float64(elements-shift); share < 0.45 || share > 0.55 {
					t.Errorf("seed %d: steps %d and %d agree in %.3f of the elements when shifted by %d, want a half", seed, step, step+1, share, shift)
				}
			}
		}
	}
}
