package optim

import "github.com/glmflow/glmflow/gpu/device"

// AdamW (Loshchilov, Hutter 2019, https://arxiv.org/abs/1711.05101).
type AdamW struct {
	Beta1, Beta2 float32 // decay of the first and second moment
	Eps          float32 // added to the root of the second moment
}

// Moments implements [Rule].
func (AdamW) Moments() int { return 2 }

// Signed implements [Rule]: the second moment is a mean of squares.
func (AdamW) Signed(k int) bool { return k == 0 }

// Update implements [Rule].
func (a AdamW) Update(dev device.Device, g Group, m []device.Moment, step int, lr float32, factor device.Tensor) {
	dev.AdamW(g.Weights, g.Grad, m[0], m[1], factor, device.AdamW{
		LR: lr, Beta1: a.Beta1, Beta2: a.Beta2, Eps: a.Eps, WeightDecay: g.Decay, Step: step,
	})
}

// SGD is stochastic gradient descent as PyTorch does it, without dampening.
type SGD struct {
	Momentum float32 // share of the last step that goes on; 0 remembers nothing
	Nesterov bool    // look ahead along the momentum
}

// Moments implements [Rule].
func (s SGD) Moments() int {
	if s.Momentum == 0 {
		return 0
	}
	return 1
}

// Signed implements [Rule].
func (SGD) Signed(int) bool { return true }

// Update implements [Rule].
func (s SGD) Update(dev device.Device, g Group, m []device.Moment, _ int, lr float32, factor device.Tensor) {
	var of device.Moment
	if len(m) > 0 {
		of = m[0]
	}
	dev.SGD(g.Weights, g.Grad, of, factor, device.SGD{
		LR: lr, Momentum: s.Momentum, Nesterov: s.Nesterov, WeightDecay: g.Decay,
	})
}

// Lion (Chen et al. 2023, https://arxiv.org/abs/2302.06675). Its steps have the
// size of the learning rate, which wants to be three to ten times smaller than
// AdamW's.
type Lion struct {
	Beta1, Beta2 float32 // of the direction, and of what is remembered
}

// Moments implements [Rule].
func (Lion) Moments() int { return 1 }

// Signed implements [Rule].
func (Lion) Signed(int) bool { return true }

// Update implements [Rule].
func (l Lion) Update(dev device.Device, g Group, m []device.Moment, _ int, lr float32, factor device.Tensor) {
	dev.Lion(g.Weights, g.Grad, m[0], factor, device.Lion{
		LR: lr, Beta1: l.Beta1, Beta2: l.Beta2, WeightDecay: g.Decay,
	})
}
