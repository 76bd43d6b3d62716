package chatglm

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"github.com/glmflow/glmflow/gpu/checkpoint"
	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
	"github.com/glmflow/glmflow/gpu/device"
)

// A Param is one weight tensor.
type Param struct {
	Name   string        // as in the official checkpoint, or PEFT's for adapters
	Shape  []int         // [O,I] of a linear, [V,H] of the embedding, one dimension of norms and biases
	W      device.Mem    // empty where the weight is stored narrowly
	Narrow device.Matrix // the weight then; it cannot be trained
	Grad   device.Mem    // of the same length as W if trainable, else empty
}

// Len is the number of elements.
func (p *Param) Len() int { return spec{shape: p.Shape}.len() }

// matrix is the weight of a linear, the embedding or the output layer.
func (p *Param) matrix() device.Matrix {
	if !p.Narrow.Empty() {
		return p.Narrow
	}
	return device.Dense(p.W)
}

// A spec names a weight of the base model and its shape.
type spec struct {
	name  string
	shape []int
}

// Names of the weights outside the layers.
const (
	embeddingName = "transformer.embedding.word_embeddings.weight"
	finalNormName = "transformer.encoder.final_layernorm.weight"
	outputName    = "transformer.output_layer.weight"
	inverseName   = "transformer.rotary_pos_emb.inv_freq" // a buffer that loaders expect and nothing reads
)

func layerName(i int, part string) string {
	return fmt.Sprintf("transformer.encoder.layers.%d.%s", i, part)
}

// specs lists the base model's weights in the order of the computation.
func (c Config) specs() []spec {
	h, f, v := c.HiddenSize, c.FFNHiddenSize, c.PaddedVocabSize
	all := []spec{{embeddingName, []int{v, h}}}
	for i := range c.NumLayers {
		all = append(all,
			spec{layerName(i, "input_layernorm.weight"), []int{h}},
			spec{layerName(i, "self_attention.query_key_value.weight"), []int{c.heads().Width(), h}})
		if c.AddQKVBias {
			all = append(all, spec{layerName(i, "self_attention.query_key_value.bias"), []int{c.heads().Width()}})
		}
		all = append(all,
			spec{layerName(i, "self_attention.dense.weight"), []int{h, c.projection()}},
			spec{layerName(i, "post_attention_layernorm.weight"), []int{h}},
			spec{layerName(i, "mlp.dense_h_to_4h.weight"), []int{2 * f, h}},
			spec{layerName(i, "mlp.dense_4h_to_h.weight"), []int{h, f}})
	}
	return append(all, spec{finalNormName, []int{h}}, spec{outputName, []int{v, h}})
}

func (s spec) len() int {
	n := 1
	for _, d := range s.shape {
		n *= d
	}
	return n
}

// Open reads the model in dir, a Hugging Face directory with config.json and
// safetensors in one file or in shards, onto dev. What the files say is checked
// before anything is allocated: they have the tensors that config.json asks for
// and no others. Where it says pre_seq_len, as the original trainer writes it,
// the prefix is among them.
func Open(dir string, dev device.Device) (*Model, error) {
	c, err := ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	before, hasPrefix, err := ReadPrefixConfig(dir)
	if err != nil {
		return nil, err
	}
	files, err := checkpoint.OpenDir(dir)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	if err := c.matches(files, hasPrefix); err != nil {
		return nil, fmt.Errorf("open model %s: %w", dir, err)
	}
	if hasPrefix {
		if err := before.fits(c, files); err != nil {
			return nil, fmt.Errorf("open model %s: %w", dir, err)
		}
	}
	m, err := allocate(c, dev)
	if err != nil {
		return nil, fmt.Errorf("open model %s: %w", dir, err)
	}
	values := func(p *Param, dst []float32) error { return files.Read(p.Name, dst) }
	if err = m.fill(m.params, values); err == nil && hasPrefix {
		err = m.attachPrefix(before, 0, values)
	}
	if err != nil {
		m.Close()
		return nil, fmt.Errorf("open model %s: %w", dir, err)
	}
	return m, nil
}

// matches compares the tensors in files with those of the configuration. A
// prefix's are looked at elsewhere.
func (c Config) matches(files *checkpoint.Dir, hasPrefix bool) error {
	if hasPrefix && !slices.Contains(files.Names(), embeddingName) {
		return errors.New("it holds a prefix and no model: name the model that the prefix was trained on, and this directory as its adapter")
	}
	known := map[string]bool{inverseName: true}
	for _, s := range c.specs() {
		known[s.name] = true
		shape, err := files.Shape(s.name)
		if err != nil {
			return err
		}
		if !slices.Equal(shape, s.shape) {
			return fmt.Errorf("tensor %q has shape %v, config.json asks for %v", s.name, shape, s.shape)
		}
	}
	for _, name := range files.Names() {
		if !known[name] && !(hasPrefix && strings.HasPrefix(name, prefixPart)) {
			return fmt.Errorf("tensor %q is not part of the network that config.json describes", name)
		}
	}
	return nil
}

// fill gives weights their values, one after the other through host memory.
func (m *Model) fill(params []*Param, values func(p *Param, dst []float32) error) error {
	largest := 0
	for _, p := range params {
		largest = max(largest, p.W.Len())
	}
	host := make([]float32, largest)
	for _, p := range params {
		part := host[:p.W.Len()]
		if err := values(p, part); err != nil {
			return err
		}
		m.dev.Upload(p.W, part)
		if err := m.dev.Sync(); err != nil { // before part is used again
			return fmt.Errorf("weight %s: %w", p.Name, err)
		}
	}
	return nil
}

// New makes a model of shape c with random weights: normal with deviation 0.02,
// the projections back into the residual stream divided by √(2L) (Radford et
// al. 2019), norms one, bias zero. The same seed gives the same weights on every
// device.
func New(c Config, dev device.Device, seed uint64) (*Model, error) {
	m, err := allocate(c, dev)
	if err != nil {
		return nil, err
	}
	if err := m.fill(m.params, func(p *Param, dst []float32) error { initial(c, p, seed, dst); return nil }); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func initial(c Config, p *Param, seed uint64, dst []float32) {
	if len(p.Shape) == 1 {
		one := float32(1)
		if p.IsBias() {
			one = 0
		}
		for i := range dst {
			dst[i] = one
		}
		return
	}
	deviation := 0.02
	if p.isResidualProjection() {
		deviation /= math.Sqrt(2 * float64(c.NumLayers))
	}
	r := paramRand(p.Name, seed)
	for i := range dst {
		dst[i] = float32(deviation * r.NormFloat64())
	}
}

// paramRand is a source of random numbers of its own for each weight, so that
// no weight depends on the order in which they are made.
func paramRand(name string, seed uint64) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// Save writes the model as a Hugging Face directory: config.json and
// safetensors in float32, in shards of at most 5 GB. dir is created; config.json
// comes last, so that a new directory is no model before it is whole. Adapters
// are not part of it: see [Model.SaveAdapter] and [Model.Merge]. Neither is the
// vocabulary: see [CopyCompanions].
func (m *Model) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var out []safetensors.Output
	for _, p := range m.params {
		if !p.isAdapter() {
			out = append(out, m.output(p))
		}
	}
	frequencies := make([]float32, m.cfg.KVChannels/4)
	for k := range frequencies {
		frequencies[k] = float32(math.Pow(10000, -2*float64(k)/float64(m.cfg.KVChannels/2)))
	}
	out = append(out, safetensors.Values(inverseName, []int{len(frequencies)}, frequencies))
	if err := safetensors.CreateDir(dir, out); err != nil {
		return err
	}
	return m.cfg.write(dir, nil)
}

// output lets p be written when its turn comes.
func (m *Model) output(p *Param) safetensors.Output {
	return safetensors.Output{Name: p.Name, Shape: p.Shape, Read: func(dst []float32) error {
		m.dev.Download(dst, p.W)
		return m.dev.Sync()
	}}
}
