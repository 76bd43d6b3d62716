package chatglm

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/glmflow/glmflow/gpu/checkpoint/peft"
	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
	"github.com/glmflow/glmflow/gpu/device"
)

// LoRAConfig says which low-rank adapters stand beside the frozen weights
// (Hu et al. 2021, https://arxiv.org/abs/2106.09685).
type LoRAConfig struct {
	Rank    int      `json:"rank" yaml:"rank"`       // width of the branch; 0 means 8
	Alpha   float32  `json:"alpha" yaml:"alpha"`     // the branch is multiplied with Alpha/Rank; 0 means 32
	Dropout float32  `json:"dropout" yaml:"dropout"` // of the branch's inputs in training; 0 means none
	Targets []string `json:"targets" yaml:"targets"` // of query_key_value, dense, dense_h_to_4h, dense_4h_to_h; empty means query_key_value
	RSLoRA  bool     `json:"rslora" yaml:"rslora"`   // multiply with Alpha/√Rank instead, for high ranks (Kalajdzievski 2023, https://arxiv.org/abs/2312.03732)
}

// lora is a model's adapters' configuration in use.
type lora struct {
	LoRAConfig
	seed uint64
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
	if !(l.Alpha > 0 && l.Alpha <= math.MaxFloat32) {
		return l, fmt.Errorf("lora alpha is %g: want a number above 0", l.Alpha)
	}
	if !(l.Dropout >= 0 && l.Dropout < 1) {
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

// scale is what the branch is multiplied with.
func (l LoRAConfig) scale() float32 {
	if l.RSLoRA {
		return l.Alpha / float32(math.Sqrt(float64(l.Rank)))
	}
	return l.Alpha / float32(l.Rank)
}

// A target is a linear layer that an adapter may stand beside.
type target struct {
	name, module string
	of           func(*layer) *linear
}

// targets lists the four linears of a layer in the order of the computation.
func targets() []target {
	return []target{
		{"query_key_value", "self_attention.query_key_value", func(l *layer) *linear { return &l.qkv }},
		{"dense", "self_attention.dense", func(l *layer) *linear { return &l.dense }},
		{"dense_h_to_4h", "mlp.dense_h_to_4h", func(l *layer) *linear { return &l.up }},
		{"dense_4h_to_h", "mlp.dense_4h_to_h", func(l *layer) *linear { return &l.down }},
	}
}

// AddLoRA puts new, trainable adapters beside the targets and freezes the rest:
// A uniform in ±1/√I (Kaiming with a=√5, as PEFT does), B zero, so that nothing
// changes until it is trained. Where it fails the model has no adapters.
func (m *Model) AddLoRA(c LoRAConfig, seed uint64) error {
	if m.lora != nil {
		return errors.New("the model has LoRA adapters already: merge or remove them first")
	}
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	if err := m.attach(c, seed, func(p *Param, dst []float32) error { initialAdapter(p, seed, dst); return nil }); err != nil {
		return err
	}
	if err := m.TrainAdapters(); err != nil {
		m.removeLoRA()
		return err
	}
	return nil
}

func initialAdapter(p *Param, seed uint64, dst []float32) {
	clear(dst)
	if strings.HasSuffix(p.Name, ".lora_A.weight") {
		bound := 1 / math.Sqrt(float64(p.Shape[1]))
		r := paramRand(p.Name, seed)
		for i := range dst {
			dst[i] = float32(bound * (2*r.Float64() - 1))
		}
	}
}

// A branch is where an adapter goes, and its two weights.
type branch struct {
	of   *linear
	a, b spec
}

// branches lists what adapters of shape c consist of, in the order of the
// computation.
func (m *Model) branches(c LoRAConfig) []branch {
	var all []branch
	for i := range m.layers {
		for _, t := range targets() {
			if !slices.Contains(c.Targets, t.name) {
				continue
			}
			l, path := t.of(&m.layers[i]), layerName(i, t.module)
			all = append(all, branch{l,
				spec{peft.TensorName(path, "A"), []int{c.Rank, l.in()}},
				spec{peft.TensorName(path, "B"), []int{l.out(), c.Rank}}})
		}
	}
	return all
}

// attach makes adapters with the given values, or leaves none.
func (m *Model) attach(c LoRAConfig, seed uint64, values func(*Param, []float32) error) (err error) {
	m.dropBuffers() // they have no room for the branches
	m.lora = &lora{LoRAConfig: c, seed: seed}
	defer func() {
		if err != nil {
			m.removeLoRA()
		}
	}()
	var added []*Param
	for _, n := range m.branches(c) {
		pair := newParams([]spec{n.a, n.b})
		n.of.a, n.of.b = pair[0], pair[1]
		added = append(added, pair...)
	}
	return m.add(added, values)
}

// LoRA returns the adapters' configuration, if the model has adapters.
func (m *Model) LoRA() (LoRAConfig, bool) {
	if m.lora == nil {
		return LoRAConfig{}, false
	}
	return m.lora.LoRAConfig, true
}

// removeLoRA takes the branches away, if there are any.
func (m *Model) removeLoRA() {
	if m.lora == nil {
		return
	}
	m.removeParams((*Param).isLoRA)
	for i := range m.layers {
		for _, t := range targets() {
			l := t.of(&m.layers[i])
			l.a, l.b = nil, nil
		}
	}
	m.lora = nil
}

// saveLoRA writes PEFT's layout.
func (m *Model) saveLoRA(dir, base string) error {
	l := m.lora
	c := peft.NewConfig(base, l.Rank, float64(l.Alpha), float64(l.Dropout), l.Targets)
	c.RSLoRA = l.RSLoRA
	return peft.Save(dir, c, m.outputs((*Param).isLoRA))
}

// adapted lists the targets that an adapter of PEFT means, which are the same in
// every layer.
func (m *Model) adapted(modules peft.Targets) ([]string, error) {
	var names []string
	for _, t := range targets() {
		layers := 0
		for i := range m.layers {
			if modules.Match(layerName(i, t.module)) {
				layers++
			}
		}
		switch layers {
		case 0:
		case len(m.layers):
			names = append(names, t.name)
		default:
			return nil, fmt.Errorf("target_modules %v means %s in %d of %d layers: only adapters in all of them are supported", modules, t.name, layers, len(m.layers))
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("target_modules %v means no linear layer of this model: want query_key_value, dense, dense_h_to_4h or dense_4h_to_h", modules)
	}
	return names, nil
}

// loadLoRA reads PEFT's layout.
func (m *Model) loadLoRA(dir string) error {
	saved, file, err := peft.Open(dir)
	if err != nil {
		return err
	}
	defer file.Close()
	adapted, err := m.adapted(saved.TargetModules)
	if err != nil {
		return fmt.Errorf("adapter %s: %w", dir, err)
	}
	c, err := LoRAConfig{
		Rank: saved.R, Alpha: float32(saved.LoraAlpha), Dropout: float32(saved.LoraDropout), Targets: adapted, RSLoRA: saved.RSLoRA,
	}.withDefaults()
	if err != nil {
		return fmt.Errorf("adapter %s: %w", dir, err)
	}
	branches, tensors := m.branches(c), file.Tensors()
	surplus := maps.Clone(tensors)
	for _, n := range branches {
		for _, s := range []spec{n.a, n.b} {
			delete(surplus, s.name)
			if shape, ok := tensors[s.name]; !ok {
				return fmt.Errorf("adapter %s: tensor %q: %w", dir, s.name, safetensors.ErrNoTensor)
			} else if !slices.Equal(shape, s.shape) {
				return fmt.Errorf("adapter %s: tensor %q has shape %v, this base model needs %v", dir, s.name, shape, s.shape)
			}
		}
	}
	if len(surplus) > 0 {
		return fmt.Errorf("adapter %s: %d of its %d tensors have no place in this base model, such as %q", dir, len(surplus), len(tensors), slices.Min(slices.Collect(maps.Keys(surplus))))
	}
	m.RemoveAdapters()
	if err := m.attach(c, 0, func(p *Param, dst []float32) error { return file.Read(p.Name, dst) }); err != nil {
		return fmt.Errorf("adapter %s: %w", dir, err)
	}
	return nil
}

// Merge adds the LoRA adapters into the weights, W += s·B·A in float32, rounded
// to what they are kept in, and removes them. A fault of the device half-way
// leaves some merged: open the model anew. A prefix cannot be merged: no weight does what it does.
func (m *Model) Merge() error {
	if m.prefix != nil {
		return errors.New("merge: a prefix cannot become part of the weights: keep it as a directory beside the model")
	}
	if m.lora == nil {
		return nil
	}
	var borrowed []*Param // of a file's memory, which is only read
	var merged []*linear
	for i := range m.layers {
		for _, t := range targets() {
			l := t.of(&m.layers[i])
			if l.a == nil {
				continue
			}
			if l.w.W.Format.Quantised() {
				return fmt.Errorf("merge: weight %s is kept in %v, and rounding it again would lose more than the adapter brings: open the model with weights fp32, bf16 or fp16", l.w.Name, l.w.W.Format)
			}
			if l.w.block == nil && l.w.own.Empty() {
				borrowed = append(borrowed, l.w)
			}
			merged = append(merged, l)
		}
	}
	if err := m.takeOver(borrowed); err != nil {
		return err
	}
	for _, l := range merged {
		d := l.plain()
		d.LoRA = &device.LoRA{A: l.a.Tensor(), B: l.b.Tensor(), R: m.lora.Rank, Scale: m.lora.scale()}
		m.dev.Merge(d)
	}
	if err := m.dev.Sync(); err != nil {
		return err
	}
	m.removeLoRA()
	return nil
}
