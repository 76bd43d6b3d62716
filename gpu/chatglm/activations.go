package chatglm

import (
	"github.com/glmflow/glmflow/gpu/device"
)

// activations are the buffers of a forward pass, and with train those of a
// backward pass. Sizes are for cap tokens; smaller batches use their fronts.
// For training every layer has buffers of its own, which the backward pass
// reads; else all layers share one set.
type activations struct {
	cap   int
	train bool
	all   []device.Mem

	layers []layerActs
	x      device.Mem // [M,H] residual stream after the last layer
	xn     device.Mem // [M,H] the same, normalized
	rstd   device.Mem // [M]
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
	x1, n1, r1 device.Mem    // residual stream before attention, normalized, 1/rms
	qkv, o     device.Mem    // after rotation; attention's output
	lse        device.Mem    // [M,A]
	x2, n2, r2 device.Mem    // residual stream before the MLP, normalized, 1/rms
	u, z       device.Mem    // [M,2F], [M,F]
	low        [4]device.Mem // [M,R] of each adapted linear, in the order of targets()
}

// room makes sure that a batch of n tokens fits.
func (m *Model) room(n int, train bool) (*activations, error) {
	if a := m.acts; a != nil && n <= a.cap && (a.train || !train) {
		return a, nil
	}
	if m.acts != nil {
		n, train = max(n, m.acts.cap), train || m.acts.train
		m.acts.free(m.dev)
		m.acts = nil
	}
	a := &activations{cap: n, train: train}
	var failed error
	alloc := func(width int) device.Mem {
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
	rank := 0
	if m.lora != nil {
		rank = m.lora.Rank
	}
	for i := range m.layers {
		if i > 0 && !train {
			shared := a.layers[0]
			a.layers = append(a.layers, shared)
			continue
		}
		la := layerActs{
			n1: alloc(h), r1: alloc(1), qkv: alloc(s.Width()), o: alloc(c.projection()), lse: alloc(s.A),
			n2: alloc(h), r2: alloc(1), u: alloc(2 * f), z: alloc(f),
		}
		la.x1 = alloc(h)
		la.x2 = la.x1
		if train {
			la.x2 = alloc(h)
		}
		if rank > 0 {
			for t := range la.low {
				la.low[t] = alloc(rank)
			}
		}
		a.layers = append(a.layers, la)
	}
	a.x = a.layers[0].x1
	if train {
		a.x = alloc(h)
		a.dx, a.dbranch, a.dqkv, a.do = alloc(h), alloc(h), alloc(s.Width()), alloc(c.projection())
		a.du, a.dz = alloc(2*f), alloc(f)
		if rank > 0 {
			a.dlow = alloc(rank)
		}
	}
	a.xn, a.rstd, a.branch, a.nll = alloc(h), alloc(1), alloc(h), alloc(1)
	if failed != nil {
		a.free(m.dev)
		return nil, failed
	}
	m.acts = a
	return a, nil
}

func (a *activations) free(dev device.Device) {
	if a == nil {
		return
	}
	for _, mem := range a.all {
		dev.Free(mem)
	}
}
