package chatglm

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/glmflow/glmflow/gpu/checkpoint/peft"
	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
)

// LoRAConfig says which low-rank adapters stand beside the frozen weights
// (Hu et al. 2021, https://arxiv.org/abs/2106.09685).
type LoRAConfig struct {
	Rank    int      `json:"rank" yaml:"rank"`       // width of the branch; 0 means 8
	Alpha   float32  `json:"alpha" yaml:"alpha"`     // the branch is scaled by Alpha/Rank; 0 means 32
	Dropout float32  `json:"dropout" yaml:"dropout"` // of the branch's inputs in training; 0 means none
	Targets []string `json:"targets" yaml:"targets"` // of query_key_value, dense, dense_h_to_4h, dense_4h_to_h; empty means query_key_value
}

// lora is a model's adapters' configuration in use.
type lora struct {
	LoRAConfig
	seed uint64
	off  bool
}

func (l LoRAConfig) withDefaults() (LoRAConfig, error) {
	if l.Rank == 0 {
		l.Rank = 8
	}
	if l.Alpha == 0 {
		l.Alpha = 32
	}
	if len(l.Targets) == 0 {
		l.Targets = []string{"query_key_value"}
	}
	if l.Rank < 0 || l.Rank > 4096 {
		return l, fmt.Errorf("lora rank is %d: want 1 to 4096", l.Rank)
	}
	if l.Dropout < 0 || l.Dropout >= 1 {
		return l, fmt.Errorf("lora dropout is %g: want 0 or more and less than 1", l.Dropout)
	}
	known := targets()
	for _, name := range l.Targets {
		if !slices.ContainsFunc(known, func(t target) bool { return t.name == name }) {
			return l, fmt.Errorf("lora target %q: want query_key_value, dense, dense_h_to_4h or dense_4h_to_h", name)
		}
	}
	return l, nil
}

func (l *lora) scale() float32 { return l.Alpha / float32(l.Rank) }

// A target is a linear layer that an adapter may stand beside.
type target struct {
	name, module string
	size         func(Config) (in, out int)
	of           func(*layer) *linear
}

// targets lists the four linears of a layer in the order of the computation.
func targets() []target {
	return []target{
		{"query_key_value", "self_attention.query_key_value", func(c Config) (int, int) { return c.HiddenSize, c.heads().Width() }, func(l *layer) *linear { return &l.qkv }},
		{"dense", "self_attention.dense", func(c Config) (int, int) { return c.projection(), c.HiddenSize }, func(l *layer) *linear { return &l.dense }},
		{"dense_h_to_4h", "mlp.dense_h_to_4h", func(c Config) (int, int) { return c.HiddenSize, 2 * c.FFNHiddenSize }, func(l *layer) *linear { return &l.up }},
		{"dense_4h_to_h", "mlp.dense_4h_to_h", func(c Config) (int, int) { return c.FFNHiddenSize, c.HiddenSize }, func(l *layer) *linear { return &l.down }},
	}
}

// AddLoRA puts new, trainable adapters beside the targets and freezes the rest:
// A uniform in ±1/√I (Kaiming with a=√5, as PEFT does), B zero, so that nothing
// changes until it is trained.
func (m *Model) AddLoRA(c LoRAConfig, seed uint64) error {
	if err := m.attach(c, seed); err != nil {
		return err
	}
	for _, p := range m.params {
		if !p.isAdapter() {
			continue
		}
		if err := m.load(p, initialAdapter(p, seed)); err != nil {
			return err
		}
	}
	return m.TrainAdapters()
}

func initialAdapter(p *Param, seed uint64) func([]float32) error {
	return func(dst []float32) error {
		clear(dst)
		if strings.HasSuffix(p.Name, ".lora_A.weight") {
			bound := 1 / math.Sqrt(float64(p.Shape[1]))
			r := paramRand(p.Name, seed)
			for i := range dst {
				dst[i] = float32(bound * (2*r.Float64() - 1))
			}
		}
		return nil
	}
}

// TrainAdapters makes the adapters, and nothing else, trainable.
func (m *Model) TrainAdapters() error {
	m.Freeze()
	for _, p := range m.params {
		if p.isAdapter() {
			if err := m.train(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// SetDropout changes the dropout of the adapters' inputs in training, and the
// seed of its random numbers. Loaded adapters come with the dropout they were
// trained with and the seed 0.
func (m *Model) SetDropout(p float32, seed uint64) {
	if m.lora != nil {
		m.lora.Dropout, m.lora.seed = p, seed
	}
}

// attach makes room for adapters.
func (m *Model) attach(c LoRAConfig, seed uint64) error {
	if m.lora != nil {
		return fmt.Errorf("the model has adapters already: merge or remove them first")
	}
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	m.acts.free(m.dev)
	m.acts = nil
	m.lora = &lora{LoRAConfig: c, seed: seed}
	for i := range m.layers {
		for _, t := range targets() {
			if !slices.Contains(c.Targets, t.name) {
				continue
			}
			in, out := t.size(m.cfg)
			l := t.of(&m.layers[i])
			if l.a, err = m.addParam(peft.TensorName(layerName(i, t.module), "A"), []int{c.Rank, in}); err != nil {
				return err
			}
			if l.b, err = m.addParam(peft.TensorName(layerName(i, t.module), "B"), []int{out, c.Rank}); err != nil {
				return err
			}
		}
	}
	return nil
}

// LoRA returns the adapters' configuration, if the model has adapters.
func (m *Model) LoRA() (LoRAConfig, bool) {
	if m.lora == nil {
		return LoRAConfig{}, false
	}
	return m.lora.LoRAConfig, true
}

// UseAdapters switches the adapters off or on: off, the model computes as its
// base does.
func (m *Model) UseAdapters(on bool) {
	if m.lora != nil {
		m.lora.off = !on
	}
}

// RemoveAdapters takes the adapters away.
func (m *Model) RemoveAdapters() {
	kept := m.params[:0]
	for _, p := range m.params {
		if !p.isAdapter() {
			kept = append(kept, p)
			continue
		}
		m.dev.Free(p.W)
		if p.Trainable {
			m.dev.Free(p.Grad)
		}
		delete(m.byName, p.Name)
	}
	m.params = kept
	for i := range m.layers {
		for _, t := range targets() {
			l := t.of(&m.layers[i])
			l.a, l.b = nil, nil
		}
	}
	m.lora = nil
	m.acts.free(m.dev)
	m.acts = nil
}

// SaveAdapter writes the adapters to dir in PEFT's layout: adapter_config.json
// and adapter_model.safetensors. base names the base model for other loaders.
func (m *Model) SaveAdapter(dir, base string) error {
	if m.lora == nil {
		return fmt.Errorf("save adapter: the model has none")
	}
	c := peft.NewConfig(base, m.lora.Rank, float64(m.lora.Alpha), float64(m.lora.Dropout), m.lora.Targets)
	var out []safetensors.Output
	for _, p := range m.params {
		if p.isAdapter() {
			out = append(out, m.output(p))
		}
	}
	return peft.Save(dir, c, out)
}

// LoadAdapter puts the adapters in dir, a PEFT directory, beside the weights.
// They are not trainable until [Model.TrainAdapters]. Adapters that the model
// has already are replaced.
func (m *Model) LoadAdapter(dir string) error {
	c, file, err := peft.Open(dir)
	if err != nil {
		return err
	}
	defer file.Close()
	if m.lora != nil {
		m.RemoveAdapters()
	}
	names := make([]string, 0, len(c.TargetModules))
	names = append(names, c.TargetModules...)
	if err := m.attach(LoRAConfig{Rank: c.R, Alpha: float32(c.LoraAlpha), Dropout: float32(c.LoraDropout), Targets: names}, 0); err != nil {
		return fmt.Errorf("adapter %s: %w", dir, err)
	}
	wanted := 0
	for _, p := range m.params {
		if !p.isAdapter() {
			continue
		}
		wanted++
		t, ok := file.Tensor(p.Name)
		if !ok || fmt.Sprint(t.Shape) != fmt.Sprint(p.Shape) {
			m.RemoveAdapters()
			return fmt.Errorf("adapter %s: tensor %q has shape %v, this base model needs %v", dir, p.Name, t.Shape, p.Shape)
		}
		if err := m.load(p, func(dst []float32) error { return file.Read(p.Name, dst) }); err != nil {
			m.RemoveAdapters()
			return err
		}
	}
	if have := len(file.Tensors()); have != wanted {
		m.RemoveAdapters()
		return fmt.Errorf("adapter %s: %d tensors, this base model takes %d", dir, have, wanted)
	}
	return m.dev.Sync()
}

// Merge adds the adapters into the weights, W += s·B·A in float32, and removes
// them.
func (m *Model) Merge() error {
	if m.lora == nil {
		return nil
	}
	r, s := m.lora.Rank, m.lora.scale()
	for i := range m.layers {
		for _, t := range targets() {
			l := t.of(&m.layers[i])
			if l.a == nil {
				continue
			}
			w, a, b := make([]float32, l.o*l.i), make([]float32, r*l.i), make([]float32, l.o*r)
			m.dev.Download(w, l.w.W)
			m.dev.Download(a, l.a.W)
			m.dev.Download(b, l.b.W)
			if err := m.dev.Sync(); err != nil {
				return err
			}
			for o := range l.o {
				row := w[o*l.i : (o+1)*l.i]
				for k := range r {
					f := s * b[o*r+k]
					for j, v := range a[k*l.i : (k+1)*l.i] {
						row[j] += f * v
					}
				}
			}
			m.dev.Upload(l.w.W, w)
		}
	}
	m.RemoveAdapters()
	return m.dev.Sync()
}
