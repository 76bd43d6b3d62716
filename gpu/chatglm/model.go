package chatglm

import (
	"fmt"
	"strings"

	"github.com/glmflow/glmflow/gpu/device"
)

// A Model is a ChatGLM3 on a device. It is used by one goroutine at a time.
type Model struct {
	cfg    Config
	dev    device.Device
	params []*Param // in the order of the computation, adapters last
	byName map[string]*Param

	embedding, finalNorm, out *Param
	layers                    []layer
	lora                      *lora

	acts *activations // of the largest batch so far
}

// A layer is one transformer block.
type layer struct {
	norm1, norm2         *Param
	qkv, dense, up, down linear
}

// A linear is a weight with what may stand beside it.
type linear struct {
	w, bias *Param // bias may be nil
	i, o    int
	a, b    *Param // the LoRA branch, or nil
}

// allocate makes a model of zeros.
func allocate(c Config, dev device.Device) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m := &Model{cfg: c, dev: dev, byName: map[string]*Param{}}
	for _, s := range c.specs() {
		if _, err := m.addParam(s.name, s.shape); err != nil {
			m.Close()
			return nil, err
		}
	}
	m.embedding, m.finalNorm, m.out = m.byName[embeddingName], m.byName[finalNormName], m.byName[outputName]
	for i := range c.NumLayers {
		part := func(name string) *Param { return m.byName[layerName(i, name)] }
		m.layers = append(m.layers, layer{
			norm1: part("input_layernorm.weight"),
			norm2: part("post_attention_layernorm.weight"),
			qkv: linear{w: part("self_attention.query_key_value.weight"), bias: part("self_attention.query_key_value.bias"),
				i: c.HiddenSize, o: c.heads().Width()},
			dense: linear{w: part("self_attention.dense.weight"), i: c.projection(), o: c.HiddenSize},
			up:    linear{w: part("mlp.dense_h_to_4h.weight"), i: c.HiddenSize, o: 2 * c.FFNHiddenSize},
			down:  linear{w: part("mlp.dense_4h_to_h.weight"), i: c.FFNHiddenSize, o: c.HiddenSize},
		})
	}
	return m, nil
}

func (m *Model) addParam(name string, shape []int) (*Param, error) {
	n := spec{name, shape}.len()
	w, err := m.dev.Alloc(n)
	if err != nil {
		return nil, fmt.Errorf("weight %s %v: %w", name, shape, err)
	}
	p := &Param{Name: name, Shape: shape, W: w}
	m.params = append(m.params, p)
	m.byName[name] = p
	return p, nil
}

// Close gives the device's memory back.
func (m *Model) Close() {
	for _, p := range m.params {
		m.dev.Free(p.W)
		if !p.Grad.Empty() {
			m.dev.Free(p.Grad)
		}
	}
	m.params, m.layers = nil, nil
	m.acts.free(m.dev)
	m.acts = nil
}

// Config is the model's shape.
func (m *Model) Config() Config { return m.cfg }

// Device is where the model lies.
func (m *Model) Device() device.Device { return m.dev }

// Params lists all weights, adapters last.
func (m *Model) Params() []*Param { return m.params }

// Trainable lists the weights that get a gradient.
func (m *Model) Trainable() []*Param {
	var out []*Param
	for _, p := range m.params {
		if p.Trainable {
			out = append(out, p)
		}
	}
	return out
}

// TrainAll makes every weight trainable: full fine-tuning.
func (m *Model) TrainAll() error {
	for _, p := range m.params {
		if err := m.train(p); err != nil {
			return err
		}
	}
	return nil
}

func (m *Model) train(p *Param) error {
	if p.Trainable {
		return nil
	}
	g, err := m.dev.Alloc(p.W.Len())
	if err != nil {
		return fmt.Errorf("gradient of %s: %w", p.Name, err)
	}
	p.Grad, p.Trainable = g, true
	return nil
}

// Freeze makes nothing trainable and gives the gradients' memory back.
func (m *Model) Freeze() {
	for _, p := range m.params {
		if p.Trainable {
			m.dev.Free(p.Grad)
			p.Grad, p.Trainable = device.Mem{}, false
		}
	}
}

func (p *Param) isAdapter() bool { return strings.Contains(p.Name, ".lora_") }
func (p *Param) isBias() bool    { return strings.HasSuffix(p.Name, ".bias") }
func (p *Param) isResidualProjection() bool {
	return strings.HasSuffix(p.Name, ".dense.weight") || strings.HasSuffix(p.Name, ".dense_4h_to_h.weight")
}
