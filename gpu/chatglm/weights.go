package chatglm

import (
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math"
	"math/rand/v2"

	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
	"github.com/glmflow/glmflow/gpu/device"
)

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

// newParams are float32 weights without memory.
func newParams(specs []spec) []*Param {
	params := make([]*Param, len(specs))
	for i, s := range specs {
		params[i] = &Param{Name: s.name, Shape: s.shape}
	}
	return params
}

// add gives weights memory and values and makes them the model's.
func (m *Model) add(params []*Param, values func(p *Param, dst []float32) error) error {
	if err := place(m.dev, params); err != nil {
		return err
	}
	m.params = append(m.params, params...)
	return m.fill(params, values)
}

// fill gives float32 weights their values, one after the other through host
// memory.
func (m *Model) fill(params []*Param, values func(p *Param, dst []float32) error) error {
	if m.sketch {
		return nil
	}
	largest := 0
	for _, p := range params {
		largest = max(largest, p.Len())
	}
	host := make([]float32, largest)
	for _, p := range params {
		part := host[:p.Len()]
		if err := values(p, part); err != nil {
			return err
		}
		m.dev.Upload(p.W.Data, device.Raw(part))
		if err := m.dev.Sync(); err != nil { // before part is used again
			return fmt.Errorf("weight %s: %w", p.Name, err)
		}
	}
	return nil
}

// allocate makes a model of zeros.
func allocate(c Config, dev device.Device) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	params := newParams(c.specs())
	if err := place(dev, params); err != nil {
		return nil, err
	}
	return newModel(c, dev, params), nil
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
		initialVector(p, dst)
		return
	}
	r, deviation := paramRand(p.Name, seed), c.deviation(p)
	for i := range dst {
		dst[i] = float32(deviation * r.NormFloat64())
	}
}

// initialVector is one in norms and zero in biases.
func initialVector(p *Param, dst []float32) {
	one := float32(1)
	if p.IsBias() {
		one = 0
	}
	for i := range dst {
		dst[i] = one
	}
}

// deviation is that of a matrix's random numbers.
func (c Config) deviation(p *Param) float64 {
	if p.isResidualProjection() {
		return 0.02 / math.Sqrt(2*float64(c.NumLayers))
	}
	return 0.02
}

// paramRand is a source of random numbers of its own for each weight, so that
// no weight depends on the order in which they are made.
func paramRand(name string, seed uint64) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// Save writes the model as a Hugging Face directory: config.json and
// safetensors, in shards of at most 5 GB, every weight in the format it is kept
// in; nf4, which no other loader of ChatGLM3 knows, is refused. dir is created; it is
// no model before it is whole, nor is one that is replaced. Adapters
// are not part of it: see [Model.SaveAdapter] and [Model.Merge]. Neither is the
// vocabulary: see [CopyCompanions].
func (m *Model) Save(dir string) error {
	var out []safetensors.Output
	further := map[string]any{}
	for _, p := range m.params {
		switch {
		case p.isAdapter():
		case p.W.Format == device.F32:
			out = append(out, m.output(p))
		case p.W.Format == device.NF4:
			return fmt.Errorf("weight %s is kept in nf4, which is no format of files: open the model with weights int4, or as it is stored, to save it", p.Name)
		default:
			out = append(out, m.narrowOutput(p)...)
			maps.Copy(further, formatKeys(p.W.Format))
		}
	}
	return m.cfg.save(dir, append(out, m.cfg.inverse()), further)
}

// inverse is the buffer of rotary frequencies that loaders expect.
func (c Config) inverse() safetensors.Output {
	frequencies := make([]float32, c.KVChannels/4)
	for k := range frequencies {
		frequencies[k] = float32(math.Pow(10000, -2*float64(k)/float64(c.KVChannels/2)))
	}
	return safetensors.Values(inverseName, []int{len(frequencies)}, frequencies)
}

// formatKeys are the keys of config.json that say how weights are stored.
func formatKeys(f device.Format) map[string]any {
	switch f {
	case device.BF16:
		return map[string]any{"torch_dtype": "bfloat16"}
	case device.F16:
		return map[string]any{"torch_dtype": "float16"}
	case device.Int8:
		return map[string]any{"quantization_bit": 8}
	case device.Int4:
		return map[string]any{"quantization_bit": 4}
	}
	return nil
}

// storedAs is the type and the shape in which a weight of a format lies in a
// file.
func storedAs(f device.Format, shape []int) (safetensors.DType, []int) {
	switch f {
	case device.BF16:
		return safetensors.BF16, shape
	case device.F16:
		return safetensors.F16, shape
	case device.Int8:
		return safetensors.I8, shape
	case device.Int4:
		return safetensors.I8, []int{shape[0], f.Row(shape[1])}
	}
	return safetensors.F32, shape
}

// narrowOutput lets a narrow weight be written as it is, with its scales where
// it has some: in binary16, as the original code does.
func (m *Model) narrowOutput(p *Param) []safetensors.Output {
	dtype, shape := storedAs(p.W.Format, p.Shape)
	out := []safetensors.Output{{Name: p.Name, Shape: shape, DType: dtype, Stream: func(w io.Writer) error { return m.stream(w, p) }}}
	if s := p.W.Scales; !s.Empty() {
		out = append(out, safetensors.Output{Name: spec{name: p.Name}.scaleName(), Shape: p.Shape[:1], DType: safetensors.F16, Read: func(dst []float32) error {
			m.dev.Download(device.Raw(dst), s.Mem)
			return m.dev.Sync()
		}})
	}
	return out
}

// stream writes the bytes of a narrow weight.
func (m *Model) stream(w io.Writer, p *Param) error {
	raw := p.W.Data.Host
	if raw == nil {
		raw = make([]byte, p.W.Data.N)
		m.dev.Download(raw, p.W.Data)
		if err := m.dev.Sync(); err != nil {
			return err
		}
	}
	_, err := w.Write(raw)
	return err
}

// output lets a weight be written in float32 when its turn comes.
func (m *Model) output(p *Param) safetensors.Output {
	return safetensors.Output{Name: p.Name, Shape: p.Shape, Read: func(dst []float32) error { return m.Values(p, dst) }}
}

// download has a tensor's numbers come to the host.
func (m *Model) download(t device.Tensor) ([]float32, error) {
	raw := make([]byte, t.Mem.N)
	m.dev.Download(raw, t.Mem)
	if err := m.dev.Sync(); err != nil {
		return nil, err
	}
	values := make([]float32, t.N)
	t.Format.Decode(values, raw, nil)
	return values, nil
}
