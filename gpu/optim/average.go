package optim

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

// An Average is the exponential moving average of parameters over the steps of a
// training. Early on it forgets faster, so that the weights from before the
// training do not linger: after update n the average is
//
//	a ← d·a + (1−d)·w   with d = min(decay, (1+n)/(10+n))
//
// as in TensorFlow's ExponentialMovingAverage.
type Average struct {
	dev    device.Device
	params []Param
	decay  float64
	mem    []device.Mem // of each parameter
}

// NewAverage begins with the weights as they are.
func NewAverage(dev device.Device, params []Param, decay float64) (*Average, error) {
	a := &Average{dev: dev, params: params, decay: decay}
	for _, p := range params {
		mem, err := dev.Alloc(p.W.Len())
		if err != nil {
			a.Close()
			return nil, fmt.Errorf("moving average of %s: %w", p.Name, err)
		}
		dev.Copy(mem, p.W)
		a.mem = append(a.mem, mem)
	}
	return a, nil
}

// Close gives the average's memory back.
func (a *Average) Close() {
	for _, mem := range a.mem {
		a.dev.Free(mem)
	}
	a.mem = nil
}

// Add takes the weights after update number n, counted from 1, into account.
func (a *Average) Add(n int) {
	keep := float32(min(a.decay, float64(1+n)/float64(10+n)))
	for i, p := range a.params {
		a.dev.Scale(a.mem[i], keep)
		a.dev.Axpy(a.mem[i], float32(1-float64(keep)), p.W)
	}
}

// Swap exchanges the average with the weights in the model. Twice is as before.
func (a *Average) Swap() {
	for i, p := range a.params {
		a.mem[i], p.W = p.W, a.mem[i]
	}
}

// State lists the average, for saving and restoring.
func (a *Average) State() []Tensor {
	var all []Tensor
	for i, p := range a.params {
		all = append(all, Tensor{"average/" + p.Name, a.mem[i]})
	}
	return all
}
