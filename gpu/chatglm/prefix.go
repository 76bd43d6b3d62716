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
	kv             device.Mem
	middle         device.Mem // [N,H] after tanh, with a projection
	dkv, dmiddle   device.Mem // their gradients, while training
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
	base := len(m.params)
	m.prefix = &prefix{PrefixConfig: c, seed: seed}
	defer func() {
		if err != nil {
			m.removePrefix()
		}
	}()
	for _, s := range c.specs(m.cfg) {
		p, err := m.addParam(s)
		if err != nil {
			return err
		}
		switch s.name {
		case tableName:
			m.prefix.table = p
		case hiddenName + weightsName:
			m.prefix.hidden.w = p
		case hiddenName + biasName:
			m.prefix.hidden.bias = p
		case spreadName + weightsName:
			m.prefix.spread.w = p
		case spreadName + biasName:
			m.prefix.spread.bias = p
		}
	}
	if m.prefix.kv, m.prefix.middle, err = m.prefixBuffers(); err != nil {
		return err
	}
	return m.fill(m.params[base:], values)
}

// prefixBuffers allocates [N,W] and, with a projection, [N,H].
func (m *Model) prefixBuffers() (kv, middle device.Mem, err error) {
	x := m.prefix
	if kv, err = m.dev.Alloc(x.table.W.Len()); err == nil && x.Projection {
		middle, err = m.dev.Alloc(x.Tokens * m.cfg.HiddenSize)
	}
	if err != nil {
		m.dev.Free(kv)
		return device.Mem{}, device.Mem{}, fmt.Errorf("keys and values of a prefix of %d tokens: %w", x.Tokens, err)
	}
	return kv, middle, nil
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
	m.forgetPrefixGradient()
	m.removeParams((*Param).isPrefix)
	m.dev.Free(m.prefix.kv)
	m.dev.Free(m.prefix.middle)
	m.prefix = nil
}

// forgetPrefixGradient gives the memory back that only training needs.
func (m *Model) forgetPrefixGradient() {
	if x := m.prefix; x != nil {
		m.dev.Free(x.dkv)
		m.dev.Free(x.dmiddle)
		x.dkv, x.dmiddle = device.Mem{}, device.Mem{}
	}
}

func (p *Param) isPrefix() bool { return strings.HasPrefix(p.Name, prefixPart) }
