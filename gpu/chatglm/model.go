package chatglm

import (
	"fmt"
	"strings"

	"github.com/glmflow/glmflow/gpu/checkpoint"
	"github.com/glmflow/glmflow/gpu/device"
)

// A Model is a ChatGLM3 on a device. It is used by one goroutine at a time.
type Model struct {
	cfg    Config
	dev    device.Device
	files  *checkpoint.Dir // whose memory weights lie in, nil without any
	params []*Param        // in the order of the computation, adapters last

	embedding, finalNorm, out *Param
	layers                    []layer
	lora                      *lora   // nil without
	prefix                    *prefix // nil without
	adaptersOff               bool
	objective                 Objective

	acts      *activations // of the largest batch so far, nil before the first
	recompute int          // see Recompute
}

// A layer is one transformer block.
type layer struct {
	norm1, norm2         *Param
	qkv, dense, up, down linear
}

// A linear is a weight with what may stand beside it.
type linear struct {
	w, bias *Param // bias may be nil
	a, b    *Param // the LoRA branch, both or neither
}

func (l *linear) in() int  { return l.w.Shape[1] }
func (l *linear) out() int { return l.w.Shape[0] }

// trainable reports whether a gradient is wanted that depends on the linear's
// input.
func (l *linear) trainable() bool {
	return l.w.Trainable() || l.a != nil && l.a.Trainable()
}

// learns reports whether any gradient is wanted.
func (l *linear) learns() bool { return l.trainable() || l.bias != nil && l.bias.Trainable() }

// allocate makes a model of zeros.
func allocate(c Config, dev device.Device) (*Model, error) {
	return build(c, dev, func(s spec) (*Param, error) { return newParam(s, dev) })
}

// build puts a model together from the weights that add makes.
func build(c Config, dev device.Device, add func(spec) (*Param, error)) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m := &Model{cfg: c, dev: dev}
	byName := map[string]*Param{}
	for _, s := range c.specs() {
		p, err := add(s)
		if err != nil {
			m.Close()
			return nil, err
		}
		m.params = append(m.params, p)
		byName[p.Name] = p
	}
	m.embedding, m.finalNorm, m.out = byName[embeddingName], byName[finalNormName], byName[outputName]
	for i := range c.NumLayers {
		part := func(name string) *Param { return byName[layerName(i, name)] }
		m.layers = append(m.layers, layer{
			norm1: part("input_layernorm.weight"),
			norm2: part("post_attention_layernorm.weight"),
			qkv:   linear{w: part("self_attention.query_key_value.weight"), bias: part("self_attention.query_key_value.bias")},
			dense: linear{w: part("self_attention.dense.weight")},
			up:    linear{w: part("mlp.dense_h_to_4h.weight")},
			down:  linear{w: part("mlp.dense_4h_to_h.weight")},
		})
	}
	return m, nil
}

// newParam makes a weight of zeros.
func newParam(s spec, dev device.Device) (*Param, error) {
	p := &Param{Name: s.name, Shape: s.shape}
	return p, p.allocFloats(dev)
}

func (m *Model) addParam(s spec) (*Param, error) {
	p, err := newParam(s, m.dev)
	if err != nil {
		return nil, err
	}
	m.params = append(m.params, p)
	return p, nil
}

// Close gives the device's memory back. The device stays open.
func (m *Model) Close() {
	m.Freeze()
	m.dropActivations()
	for _, p := range m.params {
		p.free(m.dev)
	}
	if m.files != nil {
		m.files.Close() // opened to read: there is nothing left to fail
		m.files = nil
	}
	if m.prefix != nil {
		m.dev.Free(m.prefix.kv)
		m.dev.Free(m.prefix.middle)
	}
	m.params, m.layers, m.lora, m.prefix = nil, nil, nil, nil
}

// Config is the model's shape.
func (m *Model) Config() Config { return m.cfg }

// Device is where the model lies.
func (m *Model) Device() device.Device { return m.dev }

// Params lists all weights, adapters last.
func (m *Model) Params() []*Param { return m.params }

// Weights is the format that the layers' linears are kept in, "fp32" if they can
// be trained.
func (m *Model) Weights() string { return m.layers[0].qkv.w.Narrow.Format.String() }

// Trainable lists the weights that get a gradient.
func (m *Model) Trainable() []*Param {
	var out []*Param
	for _, p := range m.params {
		if p.Trainable() {
			out = append(out, p)
		}
	}
	return out
}

// TrainAll makes every weight trainable, adapters too: full fine-tuning. If the
// memory for the gradients cannot be had, nothing is trainable.
func (m *Model) TrainAll() error {
	return m.train(func(*Param) bool { return true })
}

// train gives the wanted weights a gradient of zeros, and takes that of others.
func (m *Model) train(wanted func(*Param) bool) error {
	m.Freeze()
	for _, p := range m.params {
		if !wanted(p) {
			continue
		}
		if !p.Narrow.Empty() {
			m.Freeze()
			return fmt.Errorf("weight %s is kept in %v, which cannot be trained: open the model with weights fp32, or train adapters on top of it", p.Name, p.Narrow.Format)
		}
		if err := p.own(m.dev); err != nil {
			m.Freeze()
			return err
		}
		g, err := m.dev.Alloc(p.W.Len())
		if err != nil {
			m.Freeze()
			return fmt.Errorf("gradient of %s: %w", p.Name, err)
		}
		p.Grad = g
	}
	if x := m.prefix; x.trainable() {
		var err error
		if x.dkv, x.dmiddle, err = m.prefixBuffers(); err != nil {
			m.Freeze()
			return err
		}
	}
	return nil
}

// Freeze makes nothing trainable and gives the memory back that training took.
func (m *Model) Freeze() {
	for _, p := range m.params {
		if p.Trainable() {
			m.dev.Free(p.Grad)
			p.Grad = device.Mem{}
		}
	}
	m.forgetPrefixGradient()
	if m.acts != nil && m.acts.train {
		m.dropActivations()
	}
}

// Trainable reports whether the weight gets a gradient.
func (p *Param) Trainable() bool { return !p.Grad.Empty() }

func (p *Param) isAdapter() bool { return p.isLoRA() || p.isPrefix() }
func (p *Param) isLoRA() bool    { return strings.Contains(p.Name, ".lora_") }

// IsBias reports whether the weight is added and not multiplied.
func (p *Param) IsBias() bool { return strings.HasSuffix(p.Name, ".bias") }

// IsLoRAB reports whether the weight is the second matrix of a LoRA branch.
func (p *Param) IsLoRAB() bool { return strings.HasSuffix(p.Name, ".lora_B.weight") }

// IsEmbedding reports whether the weight holds the words' embeddings.
func (p *Param) IsEmbedding() bool { return p.Name == embeddingName }

func (p *Param) isResidualProjection() bool {
	return strings.HasSuffix(p.Name, ".dense.weight") || strings.HasSuffix(p.Name, ".dense_4h_to_h.weight")
}
