package optim

import (
	"testing"

	"github.com/glmflow/glmflow/gpu/chatglm"
)

// TestGroupsAreFew: a model's weights are in as few groups as their settings
// differ, each in one.
func TestGroupsAreFew(t *testing.T) {
	config := chatglm.Config{
		NumLayers: 3, HiddenSize: 16, FFNHiddenSize: 24,
		NumAttentionHeads: 4, KVChannels: 4, MultiQueryAttention: true, MultiQueryGroupNum: 2,
		PaddedVocabSize: 300, SeqLength: 64, LayerNormEpsilon: 1e-5, AddQKVBias: true,
	}
	decayed := func(p *chatglm.Param) Setting {
		if len(p.Shape) == 1 {
			return Setting{Rate: 1}
		}
		return Setting{Rate: 1, Decay: 0.1}
	}
	faster := func(p *chatglm.Param) Setting {
		if p.IsLoRAB() {
			return Setting{Rate: 4}
		}
		return Setting{Rate: 1}
	}
	for _, c := range []struct {
		name  string
		train func(*chatglm.Model) error
		of    func(*chatglm.Param) Setting
		bits  int
		want  int
	}{
		{"full, alike", (*chatglm.Model).TrainAll, func(*chatglm.Param) Setting { return Setting{Rate: 1} }, 32, 1},
		{"full, decayed", (*chatglm.Model).TrainAll, decayed, 32, 2},
		// Only the output layer and the embedding are long: before, between and behind
		// them lie matrices that are not, and vectors.
		{"full, 8 bits", (*chatglm.Model).TrainAll, func(*chatglm.Param) Setting { return Setting{Rate: 1} }, 8, 3},
		{"lora", func(m *chatglm.Model) error { return m.AddLoRA(chatglm.LoRAConfig{Rank: 2, Alpha: 4}, 1) }, faster, 32, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := chatglm.New(config, open(t), 1)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if err := c.train(m); err != nil {
				t.Fatal(err)
			}
			groups := Groups(m, c.of, c.bits)
			if len(groups) != c.want {
				t.Errorf("%d groups, want %d", len(groups), c.want)
			}
			seen := map[string]int{}
			for _, g := range groups {
				for i, p := range g.Params {
					seen[p.Name]++
					if w := g.Weights.W.Slice(g.Offsets[i], g.Offsets[i]+p.Len()); !w.Same(p.Tensor()) {
						t.Errorf("%s lies elsewhere in its group", p.Name)
					}
					if g.Setting != c.of(p) || g.Narrow != isNarrow(p.Len(), c.bits) {
						t.Errorf("%s is updated as %+v, narrow %t", p.Name, g.Setting, g.Narrow)
					}
				}
			}
			for _, p := range m.Trainable() {
				if seen[p.Name] != 1 {
					t.Errorf("%s is in %d groups", p.Name, seen[p.Name])
				}
			}
		})
	}
}
