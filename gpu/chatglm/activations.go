package chatglm

import "github.com/glmflow/glmflow/gpu/device"

// activations are the tensors of one pass, and with train those of its way back.
// What a layer keeps for the backward pass is its own; everything else all
// layers share.
//
//	layers that a backward pass goes through   everything
//	the lowest Recompute of them               their input x1, and the last low: the rest is made again
//	layers below, and all without train        nothing
//
// The norms' outputs and z are shared even then: a third of the memory, and the
// backward pass makes again, cheaply, those that it needs.
//
// Their formats are those that the device is fastest with ([device.Info]): a for
// activations, r for the residual stream and its gradient.
type activations struct {
	layers []layerActs
	x      device.Tensor // [M,H]r residual stream after the last layer
	rstd   device.Tensor // [M] of the final norm
	xn     device.Tensor // [M,H]a output of the last norm that was computed
	z      device.Tensor // [M,F]a SwiGLU of the last layer that was computed
	branch device.Tensor // [M,H]a what a block adds to the residual stream
	nll    device.Tensor // [M]
	hits   device.Ints   // [M]

	// Of the backward pass.
	dx        device.Tensor // [M,H]r
	dbranch   device.Tensor // [M,H]a
	dqkv      device.Tensor // [M,(A+2G)·D]a
	do        device.Tensor // [M,A·D]a
	reference device.Tensor // [M,H]a what the reference has in place of xn, with a KL term
	du        device.Tensor // [M,2F]a
	dz        device.Tensor // [M,F]a
	dlow      device.Tensor // [M,R]
}

// layerActs are what the backward pass needs of one layer.
type layerActs struct {
	x1, r1 device.Tensor    // [M,H]r residual stream before attention, 1/rms of it
	qkv, o device.Tensor    // [M,(A+2G)·D]a after rotation; [M,A·D]a attention's output
	lse    device.Tensor    // [M,A]
	x2, r2 device.Tensor    // [M,H]r residual stream before the MLP, 1/rms of it
	u      device.Tensor    // [M,2F]a
	low    [4]device.Tensor // [M,R] of each adapted linear, in the order of targets()
	again  bool             // only x1 is kept for the backward pass
}

// Recompute makes the lowest n of the layers that a backward pass goes through
// keep their input only: the backward pass computes the rest again, to the same
// bits, which takes less memory and, for all layers, a quarter to two fifths more
// time. The default is 0.
func (m *Model) Recompute(n int) {
	if m.recompute != n {
		m.recompute = n
		m.dropBuffers()
	}
}

// layout makes activations of tensors from take, which is told the format and
// the numbers for each token.
func (m *Model) layout(train bool, recompute int, take func(f device.Format, width int) device.Tensor) *activations {
	c, s, info := m.cfg, m.cfg.heads(), m.dev.Info()
	h, f := c.HiddenSize, c.FFNHiddenSize
	one := func() device.Tensor { return take(device.F32, 1) }
	active := func(width int) device.Tensor { return take(info.Activations, width) }
	residual := func() device.Tensor { return take(info.Residual, h) }
	low := func() device.Tensor { return take(device.F32, m.lora.Rank) }
	inner := func(i int) layerActs { // but for the residual stream
		la := layerActs{
			r1: one(), qkv: active(s.Width()), o: active(c.projection()), lse: take(device.F32, s.A),
			r2: one(), u: active(2 * f),
		}
		for k, t := range targets() {
			if t.of(&m.layers[i]).a != nil {
				la.low[k] = low()
			}
		}
		return la
	}
	a := &activations{}
	var shared *layerActs // of layers that keep nothing, or only their input
	lowest := len(m.layers)
	if train {
		lowest = m.lowest()
	}
	for i := range m.layers {
		if i >= lowest+recompute {
			la := inner(i)
			la.x1, la.x2 = residual(), residual()
			a.layers = append(a.layers, la)
			continue
		}
		if shared == nil {
			la := inner(i)
			la.x1 = residual()
			la.x2 = la.x1
			shared = &la
		}
		la := *shared
		if i >= lowest {
			la.again, la.x1 = true, residual()
			if m.layers[i].down.a != nil { // the down projection is not computed again
				la.low[3] = low()
			}
		}
		a.layers = append(a.layers, la)
	}
	a.x = a.layers[0].x1
	a.rstd, a.xn, a.z, a.branch, a.nll = one(), active(h), active(f), active(h), one()
	if hits := one(); !hits.Empty() {
		a.hits = hits.Mem.Ints(hits.N)
	}
	if train {
		a.x = residual()
		a.dx, a.dbranch, a.dqkv, a.do = residual(), active(h), active(s.Width()), active(c.projection())
		a.du, a.dz = active(2*f), active(f)
		if m.lora != nil {
			a.dlow = low()
		}
		if m.objective.KL > 0 {
			a.reference = active(h)
		}
	}
	return a
}
