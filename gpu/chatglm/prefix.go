package chatglm

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/glmflow/glmflow/gpu/device"
)

// PrefixConfig says which trained keys and values stand before every sequence
// (P-Tuning v2, Liu et al. 2022, https://arxiv.org/abs/2110.07602). They take no
// positions and are not rotated.
type PrefixConfig struct {
	Tokens     int     `json:"tokens" yaml:"tokens"`         // positions of the prefix; 0 means 128
	Projection bool    `json:"projection" yaml:"projection"` // make keys and values from the trained table by a two-layer network
	Dropout    float32 `json:"dropout" yaml:"dropout"`       // of keys and values in training; 0 means none
}

// Names of the original prefix encoder's weights.
const (
	prefixPart  = "transformer.prefix_encoder."
	tableName   = prefixPart + "embedding.weight"
	hiddenName  = prefixPart + "trans.0." // of the projection: [H,W], then tanh
	spreadName  = prefixPart + "trans.2." // [W,H]
	weightsName = "weight"
	biasName    = "bias"
)

// prefix is a model's prefix in use. With W = 2L·G·D, column ((2l + kv)·G + g)·D + c
// of keys and values belongs to layer l, keys before values.
type prefix struct {
	PrefixConfig
	seed           uint64
	table          *Param // [N,W]
	hidden, spread linear // of the projection
	mem            device.Mem
	kv             device.Tensor // [N,W]
	middle         device.Tensor // [N,H] after tanh, with a projection
	grad           device.Mem
	dkv, dmiddle   device.Tensor // their gradients, while training
}

func (c PrefixConfig) withDefaults() (PrefixConfig, error) {
	if c.Tokens == 0 {
		c.Tokens = 128
	}
	if c.Tokens < 0 || c.Tokens > maxSize {
		return c, fmt.Errorf("prefix tokens is %d: want 1 to %d", c.Tokens, maxSize)
	}
	return c, checkDropout("prefix", c.Dropout)
}

func checkDropout(of string, p float32) error {
	if !(p >= 0 && p < 1) {
		return fmt.Errorf("%s dropout is %g: want 0 or more and less than 1", of, p)
	}
	return nil
}

// specs lists the weights of a prefix on a model of shape m.
func (c PrefixConfig) specs(m Config) []spec {
	w := 2 * m.NumLayers * m.groups() * m.KVChannels
	all := []spec{{tableName, []int{c.Tokens, w}}}
	if c.Projection {
		all = append(all,
			spec{hiddenName + weightsName, []int{m.HiddenSize, w}}, spec{hiddenName + biasName, []int{m.HiddenSize}},
			spec{spreadName + weightsName, []int{w, m.HiddenSize}}, spec{spreadName + biasName, []int{w}})
	}
	return all
}

// Parameters counts the weights of a prefix on a model of shape m.
func (c PrefixConfig) Parameters(m Config) (int64, error) {
	c, err := c.withDefaults()
	if err != nil {
		return 0, err
	}
	n := int64(0)
	for _, s := range c.specs(m) {
		n += int64(s.len())
	}
	return n, m.Validate()
}

// AddPrefix puts a new, trainable prefix before every sequence and freezes the
// rest: its table from N(0,1), the projection's weights uniform in ±1/√inputs,
// as in the original. Where it fails the model has no prefix.
func (m *Model) AddPrefix(c PrefixConfig, seed uint64) error {
	if m.prefix != nil {
		return errors.New("the model has a prefix already: remove it first")
	}
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	if err := m.attachPrefix(c, seed, func(p *Param, dst []float32) error { m.initialPrefix(p, seed, dst); return nil }); err != nil {
		return err
	}
	if err := m.TrainAdapters(); err != nil {
		m.removePrefix()
		return err
	}
	return nil
}

func (m *Model) initialPrefix(p *Param, seed uint64, dst []float32) {
	r := paramRand(p.Name, seed)
	inputs := m.prefix.table.Shape[1]
	if strings.HasPrefix(p.Name, spreadName) {
		inputs = m.cfg.HiddenSize
	}
	for i := range dst {
		if p.Name == tableName {
			dst[i] = float32(r.NormFloat64())
		} else {
			dst[i] = float32((2*r.Float64() - 1) / math.Sqrt(float64(inputs)))
		}
	}
}

// attachPrefix makes a prefix with the given values, or leaves none.
func (m *Model) attachPrefix(c PrefixConfig, seed uint64, values func(*Param, []float32) error) (err error) {
	m.dropBuffers()
	x := &prefix{PrefixConfig: c, seed: seed}
	m.prefix = x
	defer func() {
		if err != nil {
			m.removePrefix()
		}
	}()
	added := newParams(c.specs(m.cfg))
	for _, p := range added {
		switch p.Name {
		case tableName:
			x.table = p
		case hiddenName + weightsName:
			x.hidden.w = p
		case hiddenName + biasName:
			x.hidden.bias = p
		case spreadName + weightsName:
			x.spread.w = p
		case spreadName + biasName:
			x.spread.bias = p
		}
	}
	if x.mem, x.kv, x.middle, err = m.prefixTensors(); err != nil {
		return err
	}
	return m.add(added, values)
}

// prefixTensors takes memory for [N,W] and, with a projection, [N,H].
func (m *Model) prefixTensors() (mem device.Mem, kv, middle device.Tensor, err error) {
	x := m.prefix
	wide, narrow := x.table.Len(), 0
	if x.Projection {
		narrow = x.Tokens * m.cfg.HiddenSize
	}
	mem, err = m.dev.Alloc(device.ArenaBytes(4*wide) + device.ArenaBytes(4*narrow))
	if err != nil {
		return mem, kv, middle, fmt.Errorf("keys and values of a prefix of %d tokens: %w", x.Tokens, err)
	}
	arena := device.NewArena(mem)
	return mem, arena.Tensor(device.F32, wide), arena.Tensor(device.F32, narrow), nil
}

// Prefix returns the prefix's configuration, if the model has one.
func (m *Model) Prefix() (PrefixConfig, bool) {
	if m.prefix == nil {
		return PrefixConfig{}, false
	}
	return m.prefix.PrefixConfig, true
}

// removePrefix takes the prefix away, if there is one.
func (m *Model) removePrefix() {
	if m.prefix == nil {
		return
	}
	m.freePrefixGradient()
	m.removeParams((*Param).isPrefix)
	m.dev.Free(m.prefix.mem)
	m.prefix = nil
}

// allocPrefixGradient takes the memory that only training needs.
func (m *Model) allocPrefixGradient() (err error) {
	x := m.prefix
	x.grad, x.dkv, x.dmiddle, err = m.prefixTensors()
	return err
}

// freePrefixGradient gives it back.
func (m *Model) freePrefixGradient() {
	if x := m.prefix; x != nil {
		m.dev.Free(x.grad)
		x.grad, x.dkv, x.dmiddle = device.Mem{}, device.Tensor{}, device.Tensor{}
	}
}

func (p *Param) isPrefix() bool { return strings.HasPrefix(p.Name, prefixPart) }
