package chatglm

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

// activations are the buffers of a forward pass, and with train those of a
// backward pass. Batches of fewer tokens use their fronts. For training every
// layer has buffers of its own, which the backward pass reads; else all layers
// share one set.
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
	a := &activations{tokens: n, train: train}
	var failed error
	alloc := func(width int) device.Mem {
		if failed != nil {
			return device.Mem{}
		}
		mem, err := m.dev.Alloc(n * width)
		if err != nil {
			failed = err
			return device.Mem{}
		}
		a.all = append(a.all, mem)
		return mem
	}
	c, s := m.cfg, m.cfg.heads()
	h, f := c.HiddenSize, c.FFNHiddenSize
	for i := range m.layers {
		if i > 0 && !train {
			a.layers = append(a.layers, a.layers[0])
			continue
		}
		la := layerActs{
			x1: alloc(h), r1: alloc(1), qkv: alloc(s.Width()), o: alloc(c.projection()), lse: alloc(s.A),
			r2: alloc(1), u: alloc(2 * f),
		}
		la.x2 = la.x1
		if train {
			la.x2 = alloc(h)
		}
		for k, t := range targets() {
			if t.of(&m.layers[i]).a != nil {
				la.low[k] = alloc(m.lora.Rank)
			}
		}
		a.layers = append(a.layers, la)
	}
	a.x = a.layers[0].x1
	a.rstd, a.xn, a.z, a.branch, a.nll = alloc(1), alloc(h), alloc(f), alloc(h), alloc(1)
	if train {
		a.x = alloc(h)
		a.dx, a.dbranch, a.dqkv, a.do = alloc(h), alloc(h), alloc(s.Width()), alloc(c.projection())
		a.du, a.dz = alloc(2*f), alloc(f)
		if m.lora != nil {
			a.dlow = alloc(m.lora.Rank)
		}
	}
	if failed != nil {
		a.free(m.dev)
		return nil, failed
	}
	return a, nil
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
