//go:build cgo && unix

package cpu

// #include "optimizer.h"
import "C"

import (
	"math"
	"unsafe"

	"github.com/glmflow/glmflow/gpu/device"
)

// What depends on the step alone is computed here, in float64.

// AdamW is one step: see [device.AdamW].
func (d *Device) AdamW(param, g device.Mem, m, v device.Moment, s device.AdamW) {
	want("AdamW", "g", g.N, param.N)
	b1, b2, lr := float64(s.Beta1), float64(s.Beta2), float64(s.LR)
	constants := [...]C.float{
		C.float(b1), C.float(1 - b1), C.float(b2), C.float(1 - b2),
		C.float(lr / (1 - math.Pow(b1, float64(s.Step)))),
		C.float(1 / (1 - math.Pow(b2, float64(s.Step)))),
		C.float(s.Eps), C.float(1 - lr*float64(s.WeightDecay)), C.float(s.GradScale),
	}
	C.cpu_adamw(d.c, p(param), p(g), moment("AdamW", "m", m, param.N), moment("AdamW", "v", v, param.N), C.long(param.N), &constants[0])
}

// SGD is one step: see [device.SGD].
func (d *Device) SGD(param, g device.Mem, m device.Moment, s device.SGD) {
	want("SGD", "g", g.N, param.N)
	var remembered C.moment
	if s.Momentum != 0 {
		remembered = moment("SGD", "m", m, param.N)
	}
	// With Nesterov the step is d + μm, else 0·d + m.
	ofGrad, ofMoment := C.float(0), C.float(1)
	if s.Nesterov {
		ofGrad, ofMoment = 1, C.float(s.Momentum)
	}
	constants := [...]C.float{C.float(s.Momentum), C.float(s.WeightDecay), C.float(s.LR), ofGrad, ofMoment, C.float(s.GradScale)}
	C.cpu_sgd(d.c, p(param), p(g), remembered, C.long(param.N), &constants[0])
}

// Lion is one step: see [device.Lion].
func (d *Device) Lion(param, g device.Mem, m device.Moment, s device.Lion) {
	want("Lion", "g", g.N, param.N)
	b1, b2, lr := float64(s.Beta1), float64(s.Beta2), float64(s.LR)
	constants := [...]C.float{
		C.float(b1), C.float(1 - b1), C.float(b2), C.float(1 - b2), C.float(lr),
		C.float(1 - lr*float64(s.WeightDecay)), C.float(s.GradScale),
	}
	C.cpu_lion(d.c, p(param), p(g), moment("Lion", "m", m, param.N), C.long(param.N), &constants[0])
}

// moment checks the sizes of m and returns its C form.
func moment(operator, argument string, m device.Moment, n int) C.moment {
	v, scale := device.MomentSizes(n, m.Narrow())
	want(operator, argument, m.V.N, v)
	want(operator, argument+" scale", m.Scale.N, scale)
	return C.moment{v: unsafe.Pointer(p(m.V)), scale: p(m.Scale)}
}

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
