package chatglm

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

// activations are the buffers of a forward pass, and with train those of a
// backward pass. Batches of fewer tokens use their fronts. What a layer keeps
// for the backward pass is its own; everything else all layers share.
//
//	layers that a backward pass goes through   everything
//	the lowest Recompute of them               their input x1, and the last low: the rest is made again
//	layers below, and all without train        nothing
//
// The norms' outputs and z are shared even then: a third of the memory, and the
// backward pass makes again, cheaply, those that it needs.
type activations struct {
	tokens int // M, as many as there is room for
	train  bool
	all    []device.Mem

	layers []layerActs
	x      device.Mem // [M,H] residual stream after the last layer
	rstd   device.Mem // [M] of the final norm
	xn     device.Mem // [M,H] output of the last norm that was computed
	z      device.Mem // [M,F] SwiGLU of the last layer that was computed
	branch device.Mem // [M,H] what a block adds to the residual stream
	nll    device.Mem // [M]

	// Of the backward pass.
	dx, dbranch device.Mem // [M,H]
	dqkv        device.Mem // [M,(A+2G)·D]
	do          device.Mem // [M,A·D]
	base        device.Mem // [M,H] what the base model has in place of xn, with an anchor
	du          device.Mem // [M,2F]
	dz          device.Mem // [M,F]
	dlow        device.Mem // [M,R]
}

// layerActs are what the backward pass needs of one layer.
type layerActs struct {
	x1, r1 device.Mem    // residual stream before attention, 1/rms of it
	qkv, o device.Mem    // after rotation; attention's output
	lse    device.Mem    // [M,A]
	x2, r2 device.Mem    // residual stream before the MLP, 1/rms of it
	u      device.Mem    // [M,2F]
	low    [4]device.Mem // [M,R] of each adapted linear, in the order of targets()
	again  bool          // only x1 is kept for the backward pass
}

// Recompute makes the lowest n of the layers that a backward pass goes through
// keep their input only: the backward pass computes the rest again, to the same
// bits, which takes less memory and, for all layers, a quarter to two fifths more
// time. The default is 0.
func (m *Model) Recompute(n int) {
	if m.recompute != n {
		m.recompute = n
		m.dropActivations()
	}
}

// ActivationBytes is what training on batches of that many tokens takes of the
// device's memory besides weights and gradients, with [Model.Recompute] of the
// given number.
func (m *Model) ActivationBytes(tokens, recompute int) int64 {
	width := int64(0)
	m.layout(true, recompute, func(w int) device.Mem {
		width += int64(w)
		return device.Mem{}
	})
	return 4 * width * int64(tokens)
}

// WeightBytes is what the weights take of the device's memory, and what a prefix
// computes from its own.
func (m *Model) WeightBytes() int64 {
	n := 0
	raw := 0
	for _, p := range m.params {
		n += p.W.Len() + p.Narrow.Scales.Len()
		raw += p.Narrow.Raw.N
	}
	if x := m.prefix; x != nil {
		n += x.kv.Len() + x.middle.Len() + x.dkv.Len() + x.dmiddle.Len()
	}
	return 4*int64(n) + int64(raw)
}

// room makes sure that a batch of n tokens fits.
func (m *Model) room(n int, train bool) (*activations, error) {
	if a := m.acts; a != nil {
		if n <= a.tokens && (a.train || !train) {
			return a, nil
		}
		n, train = max(n, a.tokens), train || a.train
		m.dropActivations()
	}
	a, err := m.newActivations(n, train)
	if err != nil {
		return nil, fmt.Errorf("activations of %d tokens: %w", n, err)
	}
	m.acts = a
	return a, nil
}

func (m *Model) newActivations(n int, train bool) (*activations, error) {
	var all []device.Mem
	var failed error
	a := m.layout(train, m.recompute, func(width int) device.Mem {
		if failed != nil {
			return device.Mem{}
		}
		mem, err := m.dev.Alloc(n * width)
		if err != nil {
			failed = err
			return device.Mem{}
		}
		all = append(all, mem)
		return mem
	})
	a.tokens, a.train, a.all = n, train, all
	if failed != nil {
		a.free(m.dev)
		return nil, failed
	}
	return a, nil
}

// layout makes activations of buffers from take, which is told the floats for
// each token.
func (m *Model) layout(train bool, recompute int, take func(width int) device.Mem) *activations {
	a := &activations{}
	c, s := m.cfg, m.cfg.heads()
	h, f := c.HiddenSize, c.FFNHiddenSize
	inner := func(i int) layerActs { // but for the residual stream
		la := layerActs{
			r1: take(1), qkv: take(s.Width()), o: take(c.projection()), lse: take(s.A),
			r2: take(1), u: take(2 * f),
		}
		for k, t := range targets() {
			if t.of(&m.layers[i]).a != nil {
				la.low[k] = take(m.lora.Rank)
			}
		}
		return la
	}
	var shared *layerActs // of layers that keep nothing, or only their input
	lowest := len(m.layers)
	if train {
		lowest = m.lowest()
	}
	for i := range m.layers {
		if i >= lowest+recompute {
			la := inner(i)
			la.x1, la.x2 = take(h), take(h)
			a.layers = append(a.layers, la)
			continue
		}
		if shared == nil {
			la := inner(i)
			la.x1 = take(h)
			la.x2 = la.x1
			shared = &la
		}
		la := *shared
		if i >= lowest {
			la.again, la.x1 = true, take(h)
			if m.layers[i].down.a != nil { // the down projection is not computed again
				la.low[3] = take(m.lora.Rank)
			}
		}
		a.layers = append(a.layers, la)
	}
	a.x = a.layers[0].x1
	a.rstd, a.xn, a.z, a.branch, a.nll = take(1), take(h), take(f), take(h), take(1)
	if train {
		a.x = take(h)
		a.dx, a.dbranch, a.dqkv, a.do = take(h), take(h), take(s.Width()), take(c.projection())
		a.du, a.dz = take(2*f), take(f)
		if m.lora != nil {
			a.dlow = take(m.lora.Rank)
		}
		if m.objective.Anchor > 0 {
			a.base = take(h)
		}
	}
	return a
}

func (a *activations) free(dev device.Device) {
	for _, mem := range a.all {
		dev.Free(mem)
	}
}

// dropActivations gives the buffers back; the next pass makes new ones.
func (m *Model) dropActivations() {
	if m.acts != nil {
		m.acts.free(m.dev)
		m.acts = nil
	}
}
