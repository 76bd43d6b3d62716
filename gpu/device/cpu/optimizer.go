//go:build cgo && unix

package cpu

// #include "optimizer.h"
import "C"

import (
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

// What depends on the step alone is computed here, in float64.

// ClipNorm makes the factor of the norm before that is rounded.
func (d *Device) ClipNorm(norm device.Tensor, g []device.Tensor, limit float32) {
	sum := 0.0
	for _, x := range g {
		sum += float64(C.cpu_squares(d.c, t(x), C.long(x.N)))
	}
	root, factor := math.Sqrt(sum), 1.0
	rounded := float32(root)
	switch {
	case rounded-rounded != 0:
		factor = math.NaN()
	case limit > 0:
		factor = min(1, float64(limit)/(root+1e-6))
	}
	if d.faulty() {
		return // the sums are none
	}
	norm.Floats()[0], norm.Floats()[1] = rounded, float32(factor)
}

// AdamW is one step: see [device.AdamW].
func (d *Device) AdamW(w device.Weights, g device.Tensor, m, v device.Moment, factor device.Tensor, s device.AdamW) {
	b1, b2, lr := float64(s.Beta1), float64(s.Beta2), float64(s.LR)
	constants := [...]C.float{
		C.float(b1), C.float(1 - b1), C.float(b2), C.float(1 - b2),
		C.float(lr / (1 - math.Pow(b1, float64(s.Step)))),
		C.float(1 / (1 - math.Pow(b2, float64(s.Step)))),
		C.float(s.Eps), C.float(1 - lr*float64(s.WeightDecay)),
	}
	C.cpu_adamw(d.c, both(w), t(g), moment(m), moment(v), C.long(w.W.N), f(factor), &constants[0])
}

// SGD is one step: see [device.SGD].
func (d *Device) SGD(w device.Weights, g device.Tensor, m device.Moment, factor device.Tensor, s device.SGD) {
	if s.Momentum == 0 {
		m = device.Moment{}
	}
	// With Nesterov the step is d + μm, else 0·d + m.
	ofGrad, ofMoment := C.float(0), C.float(1)
	if s.Nesterov {
		ofGrad, ofMoment = 1, C.float(s.Momentum)
	}
	constants := [...]C.float{C.float(s.Momentum), C.float(s.WeightDecay), C.float(s.LR), ofGrad, ofMoment}
	C.cpu_sgd(d.c, both(w), t(g), moment(m), C.long(w.W.N), f(factor), &constants[0])
}

// Lion is one step: see [device.Lion].
func (d *Device) Lion(w device.Weights, g device.Tensor, m device.Moment, factor device.Tensor, s device.Lion) {
	b1, b2, lr := float64(s.Beta1), float64(s.Beta2), float64(s.LR)
	constants := [...]C.float{
		C.float(b1), C.float(1 - b1), C.float(b2), C.float(1 - b2), C.float(lr), C.float(1 - lr*float64(s.WeightDecay)),
	}
	C.cpu_lion(d.c, both(w), t(g), moment(m), C.long(w.W.N), f(factor), &constants[0])
}

// Average moves avg towards w.
func (d *Device) Average(avg, w device.Weights, keep float32) {
	C.cpu_average(d.c, both(avg), both(w), C.long(w.W.N), C.float(keep))
}

// both is the C form of weights.
func both(w device.Weights) C.weights { return C.weights{w: t(w.W), low: (*C.uint16_t)(start(w.Low))} }

// moment is the C form of m.
func moment(m device.Moment) C.moment { return C.moment{v: start(m.V), scale: f(m.Scale)} }

// codes gives the kernels the two 8-bit codes.
func codes(c *C.cpu) {
	for i, signed := range []bool{false, true} {
		code := device.DynamicCode(signed)
		for j := range code.Value {
			c.codes[i].value[j], c.codes[i].above[j] = C.float(code.Value[j]), C.float(code.Above[j])
		}
	}
	C.cpu_codes(c)
}
