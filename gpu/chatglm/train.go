package chatglm

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

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

// TrainIn sets the format of the gradients of BF16 weights, for what becomes
// trainable from now on: F32, the default, or BF16, which takes half the memory
// and rounds every sum of micro-batches.
func (m *Model) TrainIn(f device.Format) error {
	if f != device.F32 && f != device.BF16 {
		return fmt.Errorf("gradients in %v: want fp32 or bf16", f)
	}
	m.gradients = f
	return nil
}

// train gives the wanted weights a gradient of zeros, and takes that of others.
func (m *Model) train(wanted func(*Param) bool) error {
	m.Freeze()
	if err := m.makeTrainable(wanted); err != nil {
		m.Freeze()
		return err
	}
	return nil
}

func (m *Model) makeTrainable(wanted func(*Param) bool) error {
	var borrowed []*Param // that lie in a file, which is only read
	kinds := map[device.Format][]*Param{}
	for _, p := range m.params {
		if !wanted(p) {
			continue
		}
		f := p.W.Format
		if f != device.F32 && f != device.BF16 {
			return fmt.Errorf("weight %s is kept in %v, which cannot be trained: open the model with weights fp32 or bf16, or train adapters on top of it", p.Name, f)
		}
		if p.block == nil {
			borrowed = append(borrowed, p)
		}
		kinds[f] = append(kinds[f], p)
	}
	if err := m.takeOver(borrowed); err != nil {
		return err
	}
	for _, f := range []device.Format{device.F32, device.BF16} {
		if err := m.addTraining(kinds[f], f); err != nil {
			return err
		}
	}
	if m.prefix.trainable() {
		return m.allocPrefixGradient()
	}
	return nil
}

// takeOver gives weights in a file's memory, which is only read, memory of their
// own.
func (m *Model) takeOver(params []*Param) error {
	was := make([]device.Mem, len(params))
	for i, p := range params {
		was[i] = p.W.Data
		p.W.Data = device.Mem{}
	}
	err := place(m.dev, params)
	for i, p := range params {
		switch {
		case err != nil:
			p.W.Data = was[i]
		case p.block != nil:
			m.dev.Copy(p.Tensor(), was[i].Tensor(p.W.Format, p.Len()))
		default: // F16, whose bits are copied like any 16
			if p.own, err = m.dev.Alloc(was[i].N); err != nil {
				p.W.Data = was[i]
				continue
			}
			p.W.Data = p.own
			m.dev.Copy(p.own.Tensor(device.BF16, p.Len()), was[i].Tensor(device.BF16, p.Len()))
		}
	}
	return err
}

// addTraining makes the gradients of weights of one format.
func (m *Model) addTraining(params []*Param, f device.Format) error {
	if len(params) == 0 {
		return nil
	}
	t := &training{format: device.F32}
	if f == device.BF16 {
		t.format = m.gradients
	}
	n := 0
	for _, p := range params {
		n += padded(p.Len())
	}
	m.trainings = append(m.trainings, t)
	var err error
	if t.grad, err = m.dev.Alloc(n * t.format.Size()); err != nil {
		return fmt.Errorf("gradients of %d weights: %w", n, err)
	}
	if f == device.BF16 {
		if t.low, err = m.dev.Alloc(2 * n); err != nil {
			return fmt.Errorf("lower halves of %d weights: %w", n, err)
		}
	}
	at := 0
	for _, p := range inGroups(params) {
		p.training, p.gradAt = t, at
		p.Grad = part(t.grad, t.format, at, p.Len())
		if f == device.BF16 {
			p.Low = t.low.Slice(2*at, 2*(at+p.Len()))
		}
		at += padded(p.Len())
	}
	return nil
}

// Freeze makes nothing trainable and gives the memory back that training took.
// Of BF16 weights the rounded half is left.
func (m *Model) Freeze() {
	for _, p := range m.params {
		p.Grad, p.Low, p.training, p.gradAt = device.Tensor{}, device.Mem{}, nil, 0
	}
	for _, t := range m.trainings {
		m.dev.Free(t.grad)
		m.dev.Free(t.low)
	}
	m.trainings = nil
	m.freePrefixGradient()
	if m.buffers != nil && m.buffers.train {
		m.dropBuffers()
	}
}
