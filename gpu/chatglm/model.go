package chatglm

import (
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

	trainings []*training   // of what is trainable
	gradients device.Format // of BF16 weights' gradients, see TrainIn
	buffers   *buffers      // of the largest batch so far, nil before the first
	recompute int           // see Recompute
	sketch    bool          // weights have no values, see Sketch
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

// newModel puts a model together from the weights of the base, which have no
// memory yet.
func newModel(c Config, dev device.Device, params []*Param) *Model {
	m := &Model{cfg: c, dev: dev, params: params}
	byName := map[string]*Param{}
	for _, p := range params {
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
	return m
}

// Close gives the device's memory back. The device stays open.
func (m *Model) Close() {
	m.Freeze()
	m.dropBuffers()
	freeParams(m.dev, m.params)
	if m.files != nil {
		m.files.Close() // opened to read: there is nothing left to fail
		m.files = nil
	}
	if m.prefix != nil {
		m.dev.Free(m.prefix.mem)
	}
	m.params, m.layers, m.lora, m.prefix = nil, nil, nil, nil
}

// Config is the model's shape.
func (m *Model) Config() Config { return m.cfg }

// Device is where the model lies.
func (m *Model) Device() device.Device { return m.dev }

// Params lists all weights, adapters last.
func (m *Model) Params() []*Param { return m.params }

// Weights is the format that the layers' linears are kept in, "fp32" or "bf16" if
// they can be trained.
func (m *Model) Weights() string { return m.layers[0].qkv.w.W.Format.String() }
