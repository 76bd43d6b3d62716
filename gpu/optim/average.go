package optim

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

// An Average is the exponential moving average of weights over the updates of a
// training, kept as they are: in bfloat16 with the lower halves beside it, it
// has all 32 bits. Early on it forgets faster, so that the weights from before the
// training do not linger: after update n the average is
//
//	a ← d·a + (1−d)·w   with d = min(decay, (1+n)/(10+n))
//
// as in TensorFlow's ExponentialMovingAverage.
type Average struct {
	dev    device.Device
	groups []Group
	decay  float64
	of     []device.Weights // of each group
}

// NewAverage begins with the weights as they are.
func NewAverage(dev device.Device, groups []Group, decay float64) (*Average, error) {
	a := &Average{dev: dev, groups: groups, decay: decay}
	for _, g := range groups {
		w, err := clone(dev, g.Weights)
		if err != nil {
			a.Close()
			return nil, fmt.Errorf("moving average of %s: %w", g.name(), err)
		}
		a.of = append(a.of, w)
	}
	return a, nil
}

// clone is a copy of w in memory of its own.
func clone(dev device.Device, w device.Weights) (device.Weights, error) {
	n := w.W.Len()
	to, err := device.NewTensor(dev, w.W.Format, n)
	if err != nil {
		return device.Weights{}, err
	}
	dev.Copy(to, w.W)
	if w.Low.Empty() {
		return device.Weights{W: to}, nil
	}
	low, err := dev.Alloc(w.Low.N)
	if err != nil {
		dev.Free(to.Mem)
		return device.Weights{}, err
	}
	dev.Copy(low.Tensor(device.BF16, n), w.Low.Tensor(device.BF16, n)) // of one format: bits
	return device.Weights{W: to, Low: low}, nil
}

// Close gives the average's memory back.
func (a *Average) Close() {
	for _, w := range a.of {
		a.dev.Free(w.W.Mem)
		a.dev.Free(w.Low)
	}
	a.of = nil
}

// Add has the device take the weights after update number n, counted from 1, into
// account.
func (a *Average) Add(n int) {
	keep := float32(min(a.decay, float64(1+n)/float64(10+n)))
	for i, g := range a.groups {
		a.dev.Average(a.of[i], g.Weights, keep)
	}
}

// Swap exchanges the average with the weights in the model. Twice is as before.
func (a *Average) Swap() {
	for i, g := range a.groups {
		a.dev.Swap(a.of[i].W.Mem, g.Weights.W.Mem)
		if !g.Weights.Low.Empty() {
			a.dev.Swap(a.of[i].Low, g.Weights.Low)
		}
	}
}

// State lists the average, for saving and restoring, that of each weight by its
// name.
func (a *Average) State() []Tensor {
	var all []Tensor
	for i, g := range a.groups {
		for _, p := range g.places() {
			all = append(all, weights(a.dev, "average/"+p.name, a.of[i].Slice(p.from, p.to)))
		}
	}
	return all
}
