//go:build cgo && unix

package cpu

// #include "kernels.h"
import "C"

import "github.com/glmflow/glmflow/gpu/device"

// Linear is y = x·Wᵀ + bias, plus the LoRA branch.
func (d *Device) Linear(y, x device.Tensor, m int, l *device.Linear) {
	c := layer(l)
	C.cpu_linear(d.c, t(y), t(x), C.long(m), &c)
}

// LinearBackward is dx from dy, and the gradients that g asks for.
func (d *Device) LinearBackward(dx, dy, x device.Tensor, m int, l *device.Linear, g *device.LinearGrad) {
	c := layer(l)
	if g == nil {
		g = &device.LinearGrad{}
	}
	grad := C.linear_grad{w: t(g.W), bias: f(g.Bias), a: f(g.A), b: f(g.B), du: f(g.DU)}
	C.cpu_linear_backward(d.c, t(dx), t(dy), t(x), C.long(m), &c, &grad)
}

// Merge adds the LoRA branch to the weight.
func (d *Device) Merge(l *device.Linear) {
	c := layer(l)
	C.cpu_merge(d.c, &c)
}

// layer is the C form of l.
func layer(l *device.Linear) C.linear {
	c := C.linear{w: stored(l.W), bias: f(l.Bias), i: C.long(l.I), o: C.long(l.O)}
	if a := l.LoRA; a != nil {
		c.a, c.b, c.u, c.r = f(a.A), f(a.B), f(a.U), C.long(a.R)
		c.scale, c.dropout, c.seed = C.float(a.Scale), C.float(a.Dropout), C.uint64_t(a.Seed)
	}
	return c
}

// CrossEntropy is the output layer and the loss in one.
func (d *Device) CrossEntropy(loss device.Tensor, hits device.Ints, dx, x device.Tensor, p *device.Pass, l *device.Head, g *device.HeadGrad, scale float32, o device.Objective) {
	if g == nil {
		g = &device.HeadGrad{}
	}
	c := C.output{
		w: stored(l.W), bias: f(l.Bias), h: C.long(l.H), v: C.long(l.V),
		scale: C.float(scale), smoothing: C.float(o.Smoothing), kl: C.float(o.KL),
	}
	if o.KL > 0 {
		c.reference = start(o.Reference.Mem)
	}
	grad := C.output_grad{w: t(g.W), bias: f(g.Bias)}
	C.cpu_cross_entropy(d.c, f(loss), (*C.int32_t)(start(hits.Mem)), t(dx), t(x), &prepared(p).c, &c, &grad)
}
