package optim

import (
	"fmt"
	"math"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
)

// AdamWConfig are the constants of AdamW (Loshchilov, Hutter 2019,
// https://arxiv.org/abs/1711.05101).
type AdamWConfig struct {
	Beta1, Beta2 float32 // decay of the first and second moment
	Eps          float32 // added to the root of the second moment
	WeightDecay  float32 // decoupled; norms and biases are never decayed
}

// AdamW keeps two moments for every weight it updates.
type AdamW struct {
	cfg    AdamWConfig
	dev    device.Device
	params []*chatglm.Param
	m, v   []device.Mem
	step   int
}

// NewAdamW makes zero moments for params, which must be trainable.
func NewAdamW(dev device.Device, params []*chatglm.Param, c AdamWConfig) (*AdamW, error) {
	a := &AdamW{cfg: c, dev: dev, params: params}
	for _, p := range params {
		if p.Grad.Len() != p.W.Len() {
			a.Close()
			return nil, fmt.Errorf("optimizer: %s is not trainable", p.Name)
		}
		for _, moments := range []*[]device.Mem{&a.m, &a.v} {
			mem, err := dev.Alloc(p.W.Len())
			if err != nil {
				a.Close()
				return nil, fmt.Errorf("optimizer state of %s: %w", p.Name, err)
			}
			*moments = append(*moments, mem)
		}
	}
	return a, nil
}

// Close gives the moments' memory back.
func (a *AdamW) Close() {
	for _, mem := range append(a.m, a.v...) {
		a.dev.Free(mem)
	}
	a.m, a.v = nil, nil
}

// Step updates every weight with learning rate lr, its gradient multiplied by
// gradScale first (see [ClipScale]).
func (a *AdamW) Step(lr, gradScale float32) {
	a.step++
	for i, p := range a.params {
		decay := a.cfg.WeightDecay
		if len(p.Shape) == 1 { // a norm or a bias
			decay = 0
		}
		a.dev.AdamW(p.W, p.Grad, a.m[i], a.v[i], device.AdamW{
			LR: lr, Beta1: a.cfg.Beta1, Beta2: a.cfg.Beta2, Eps: a.cfg.Eps, WeightDecay: decay,
			Step: a.step, GradScale: gradScale,
		})
	}
}

// Steps is the number of updates so far: bias corrections depend on it.
func (a *AdamW) Steps() int { return a.step }

// SetSteps continues a count that was saved.
func (a *AdamW) SetSteps(n int) { a.step = n }

// Moments are the device memories of parameter i's first and second moment, for
// saving and restoring.
func (a *AdamW) Moments(i int) (m, v device.Mem) { return a.m[i], a.v[i] }

// GradNorm is the Euclidean norm of all gradients together.
func GradNorm(dev device.Device, params []*chatglm.Param) float64 {
	sum := 0.0
	for _, p := range params {
		sum += dev.SumSquares(p.Grad)
	}
	return math.Sqrt(sum)
}

// ClipScale is what gradients of the given norm are multiplied with so that
// their norm is at most limit; 0 does not limit. As in PyTorch a millionth is
// added to the norm.
func ClipScale(norm, limit float64) float32 {
	if limit <= 0 {
		return 1
	}
	return float32(min(1, limit/(norm+1e-6)))
}
