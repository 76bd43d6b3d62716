package chatglm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/cpu"
	"github.com/glmflow/glmflow/gpu/device/reference"
)

// devices are what the golden values are checked on, all in float32.
func devices(t *testing.T, test func(t *testing.T, dev device.Device)) {
	t.Helper()
	t.Run("reference", func(t *testing.T) {
		dev, err := reference.Open(device.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		test(t, dev)
	})
	t.Run("cpu", func(t *testing.T) {
		dev, err := cpu.Open(device.Options{Workers: 2})
		if errors.Is(err, cpu.ErrNotBuilt) {
			t.Skip("built without the C device")
		}
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		test(t, dev)
	})
}

func shared(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "data", "chatglm3", name))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no ../shared/data/chatglm3/%s", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func newReference(t *testing.T) device.Device {
	t.Helper()
	dev, err := reference.Open(device.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

// near fails where got is not within tolerance of want, relative to the largest
// value of want.
func near(t *testing.T, what string, got []float32, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	scale, worst, at := 1e-9, 0.0, 0
	for _, w := range want {
		scale = max(scale, math.Abs(w))
	}
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - w); !(d <= worst) {
			worst, at = d, i
		}
	}
	if !(worst <= tolerance*max(1, scale)) {
		t.Errorf("%s: element %d is %g, want %g (off by %.2g)", what, at, got[at], want[at], worst)
	}
}

// TestOriginalActivations compares with what the original PyTorch code computed
// on a tiny random ChatGLM3 (chatglm.cpp's test data): a prompt of three tokens,
// then two single tokens with the cache.
func TestOriginalActivations(t *testing.T) {
	var io map[string]json.RawMessage
	if err := json.Unmarshal(shared(t, "glm3_tiny_io.json"), &io); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("..", "..", "..", "shared", "data", "chatglm3", "glm3_tiny.safetensors")
	file, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	c := Config{NumLayers: 1, HiddenSize: 32, FFNHiddenSize: 48, NumAttentionHeads: 8, KVChannels: 4, MultiQueryAttention: true,
		MultiQueryGroupNum: 2, PaddedVocabSize: 5, SeqLength: 64, LayerNormEpsilon: 1e-5, AddQKVBias: true}
	devices(t, func(t *testing.T, dev device.Device) {
		m, err := allocate(c, dev)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		for _, p := range m.params {
			if p.Name == outputName {
				continue // the data stops before the output matrix
			}
			if err := m.fill([]*Param{p}, func(p *Param, dst []float32) error { return file.Read(p.Name, dst) }); err != nil {
				t.Fatal(err)
			}
		}
		d, err := m.newDecoder(1, GenerateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer d.close()
		step := &turn{sampling: device.Sampling{Penalty: 1, TopP: 1}}
		var want []float64
		for i := 1; io[fmt.Sprintf("x%d", i)] != nil; i++ {
			var y []float64
			var next []int32
			if err := errors.Join(json.Unmarshal(io[fmt.Sprintf("x%d", i)], &next), json.Unmarshal(io[fmt.Sprintf("y%d", i)], &y)); err != nil {
				t.Fatal(err)
			}
			step.ids = append(step.ids, next...)
			if err := d.advance(t.Context(), []*turn{step}); err != nil {
				t.Fatal(err)
			}
			last, err := m.download(d.last)
			if err != nil {
				t.Fatal(err)
			}
			near(t, fmt.Sprintf("step %d with cache", i), last, y[len(y)-32:], 1e-5)
			want = append(want, y...)
		}
		hidden, err := m.Hidden(Pack([]Sequence{{IDs: step.ids}}))
		if err != nil {
			t.Fatal(err)
		}
		near(t, "all tokens at once", hidden, want, 1e-5)
	})
}

// toy is a two-layer model with every weight, logit and gradient, computed in
// float64 by autograd.
type toy struct {
	Config struct {
		Hidden, Heads, Groups, FFN, Layers, Vocab int
		HeadDim                                   int     `json:"head_dim"`
		Eps                                       float64 `json:"eps"`
		R                                         int     `json:"lora_r"`
		Prefix                                    int     `json:"prefix_len"`
		Alpha                                     float32 `json:"lora_alpha"`
	}
	IDs, Labels    [][]int32
	AttentionMask  [][]int `json:"attention_mask"`
	Loss           float64
	Logits         [][][]float64
	Weights, Grads map[string]json.RawMessage
}

// TestGoldenGradients compares logits, loss and every gradient, of the base
// weights and of the adapters, without and with a prefix. The padded rows of the
// data become packed ones: real positions must agree, and there are no others.
func TestGoldenGradients(t *testing.T) {
	for _, name := range []string{"golden_tiny_lora.json", "golden_tiny_prefix.json"} {
		t.Run(name, func(t *testing.T) { goldenGradients(t, name) })
	}
}

func goldenGradients(t *testing.T, file string) {
	var g toy
	if err := json.Unmarshal(shared(t, file), &g); err != nil {
		t.Fatal(err)
	}
	k := g.Config
	c := Config{NumLayers: k.Layers, HiddenSize: k.Hidden, FFNHiddenSize: k.FFN, NumAttentionHeads: k.Heads, KVChannels: k.HeadDim,
		MultiQueryAttention: true, MultiQueryGroupNum: k.Groups, PaddedVocabSize: k.Vocab, SeqLength: 64, LayerNormEpsilon: k.Eps, AddQKVBias: true}
	names := map[string]string{embeddingName: "emb", finalNormName: "nf", outputName: "out", tableName: "prefix"}
	for i := range k.Layers {
		for short, part := range map[string]string{
			"n1": "input_layernorm.weight", "qkv": "self_attention.query_key_value.weight", "b": "self_attention.query_key_value.bias",
			"o": "self_attention.dense.weight", "n2": "post_attention_layernorm.weight",
			"up": "mlp.dense_h_to_4h.weight", "down": "mlp.dense_4h_to_h.weight",
		} {
			names[layerName(i, part)] = fmt.Sprintf("layers.%d.%s", i, short)
		}
		for _, matrix := range []string{"A", "B"} {
			names["base_model.model."+layerName(i, "self_attention.query_key_value")+".lora_"+matrix+".weight"] = fmt.Sprintf("layers.%d.%s", i, matrix)
		}
	}
	var seqs []Sequence
	var logits []float64
	targets := 0
	for r, mask := range g.AttentionMask {
		first := 0
		for mask[first] == 0 {
			first++
		}
		seqs = append(seqs, Sequence{IDs: g.IDs[r][first:], Labels: g.Labels[r][first:]})
		for _, row := range g.Logits[r][first:] {
			logits = append(logits, row...)
		}
		for _, l := range g.Labels[r][first+1:] {
			if l >= 0 {
				targets++
			}
		}
	}
	batch := Pack(seqs)
	devices(t, func(t *testing.T, dev device.Device) {
		m, err := allocate(c, dev)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if err := m.AddLoRA(LoRAConfig{Rank: k.R, Alpha: k.Alpha}, 1); err != nil {
			t.Fatal(err)
		}
		if k.Prefix > 0 {
			if err := m.AddPrefix(PrefixConfig{Tokens: k.Prefix}, 1); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.TrainAll(); err != nil {
			t.Fatal(err)
		}
		if err := m.fill(m.params, func(p *Param, dst []float32) error {
			if len(flat(t, g.Weights[names[p.Name]])) != len(dst) {
				t.Errorf("%s has %d values, want %d", p.Name, len(flat(t, g.Weights[names[p.Name]])), len(dst))
			}
			for i, v := range flat(t, g.Weights[names[p.Name]]) {
				dst[i] = float32(v)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		// The oracle must agree with autograd before the model is held to it
		// elsewhere: far closer than float32, but for the angles, which the
		// conventions round.
		truth := newOracle(m, 0)
		for _, p := range m.params {
			truth.w[p.Name] = flat(t, g.Weights[names[p.Name]])
		}
		var said []float32
		for _, row := range truth.logits(batch, true) {
			for _, v := range row {
				said = append(said, float32(v))
			}
		}
		near(t, "the oracle's logits", said, logits, 2e-7)
		near(t, "the oracle's loss", []float32{float32(truth.loss(batch) / float64(targets))}, []float64{g.Loss}, 2e-7)
		got, err := m.Logits(batch)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "logits", got, logits, 1e-5)
		each, _, err := m.Loss(batch)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "loss without gradient", []float32{float32((each[0] + each[1]) / float64(targets))}, []float64{g.Loss}, 1e-5)
		nll, n, err := accumulate(m, batch, 1/float32(targets), 0)
		if err != nil {
			t.Fatal(err)
		}
		if n != targets {
			t.Errorf("%d targets, want %d", n, targets)
		}
		near(t, "loss", []float32{float32(nll / float64(n))}, []float64{g.Loss}, 1e-5)
		for _, p := range m.params {
			grad := make([]float32, p.Grad.Len())
			dev.Download(device.Raw(grad), p.Grad.Mem)
			near(t, "gradient of "+p.Name, grad, flat(t, g.Grads[names[p.Name]]), 1e-5)
		}
	})
}

// flat reads nested lists of numbers as one.
func flat(t *testing.T, text json.RawMessage) []float64 {
	t.Helper()
	var out []float64
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case float64:
			out = append(out, v)
		case []any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	walk(v)
	return out
}
