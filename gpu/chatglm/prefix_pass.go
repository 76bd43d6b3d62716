package chatglm

import "github.com/glmflow/glmflow/gpu/device"

// encodePrefix computes the prefix's keys and values.
func (m *Model) encodePrefix(p *pass) {
	x := m.prefix
	if x == nil || m.adaptersOff {
		return
	}
	if x.Projection {
		m.dev.Linear(x.middle, x.table.Tensor(), x.Tokens, x.hidden.plain())
		m.dev.Tanh(x.middle, x.middle)
		m.dev.Linear(x.kv, x.middle, x.Tokens, x.spread.plain())
	} else {
		m.dev.Copy(x.kv, x.table.Tensor())
	}
	if p.train && x.Dropout > 0 {
		m.dev.Dropout(x.kv, x.kv, x.Dropout, m.prefixStream(p))
	}
}

func (m *Model) prefixStream(p *pass) uint64 {
	return device.Stream(m.prefix.seed, p.step, prefixNoise)
}

// prefixBackward adds up the gradients of the prefix's weights from that of its
// keys and values, which it uses up.
func (m *Model) prefixBackward(p *pass) {
	x := m.prefix
	if x.Dropout > 0 {
		m.dev.Dropout(x.dkv, x.dkv, x.Dropout, m.prefixStream(p))
	}
	if x.Projection {
		m.dev.LinearBackward(x.dmiddle, x.dkv, x.middle, x.Tokens, x.spread.plain(), &device.LinearGrad{W: x.spread.w.Grad, Bias: x.spread.bias.Grad})
		m.dev.TanhBackward(x.dmiddle, x.dmiddle, x.middle)
		m.dev.LinearBackward(x.dkv, x.dmiddle, x.table.Tensor(), x.Tokens, x.hidden.plain(), &device.LinearGrad{W: x.hidden.w.Grad, Bias: x.hidden.bias.Grad})
	}
	m.dev.Axpy(x.table.Grad, 1, x.dkv)
}

// prefixAt is what stands before the sequences in a layer, nil for nothing.
func (m *Model) prefixAt(layer int) *device.Prefix {
	if m.prefix == nil || m.adaptersOff {
		return nil
	}
	return m.prefixPart(m.prefix.kv, layer)
}

// prefixGradAt is where the gradient of a layer's prefix adds up, nil where
// none is wanted.
func (m *Model) prefixGradAt(layer int) *device.Prefix {
	if m.prefix == nil || !m.prefix.trainable() {
		return nil
	}
	return m.prefixPart(m.prefix.dkv, layer)
}

func (m *Model) prefixPart(table device.Tensor, layer int) *device.Prefix {
	s := m.cfg.heads()
	line := s.G * s.D
	return &device.Prefix{Table: table, N: m.prefix.Tokens, Stride: m.prefix.table.Shape[1], K: 2 * layer * line, V: (2*layer + 1) * line}
}

// trainable: its weights are so together.
func (x *prefix) trainable() bool { return x != nil && x.table.Trainable() }
