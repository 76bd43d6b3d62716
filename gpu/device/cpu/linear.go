//go:build cgo && unix

package cpu

// #include "kernels.h"
import "C"

import (
	"unsafe"

	"github.com/glmflow/glmflow/gpu/device"
)

// Linear is y = x·Wᵀ + bias, plus the LoRA branch or those of the sequences.
func (d *Device) Linear(y, x device.Tensor, m int, l *device.Linear) {
	c := layer(l)
	branches := []C.branch{}
	switch {
	case l.LoRA != nil:
		branches = append(branches, *branchOf(l.LoRA, m))
	case len(l.Adapters) > 0:
		branches = branchRuns(l.Adapters, prepared(l.Pass))
	}
	C.cpu_linear(d.c, t(y), t(x), C.long(m), &c, unsafe.SliceData(branches), C.long(len(branches)))
}

// branchRuns are a branch for each run of sequences that have the same adapter.
func branchRuns(all []device.LoRA, p *pass) []C.branch {
	var runs []C.branch
	highest := 0
	for _, a := range all {
		highest = max(highest, a.R)
	}
	starts, last := p.arrays[cuSeqlens], int32(-1)
	for s, which := range p.arrays[adapters][:p.c.s] {
		rows := int(starts[s+1] - starts[s])
		switch {
		case which < 0 || rows == 0:
		case which == last:
			runs[len(runs)-1].m += C.long(rows)
		default:
			// The rows of U are as wide as the adapter wants them, and begin where those of
			// the widest one would.
			a := all[which]
			first := int(starts[s])
			a.U = a.U.Slice(first*highest, a.U.N)
			run := branchOf(&a, rows)
			run.row = C.long(first)
			runs = append(runs, *run)
		}
		if rows > 0 {
			last = which
		}
	}
	return runs
}

// branchOf is the C form of a branch for m rows.
func branchOf(a *device.LoRA, m int) *C.branch {
	return &C.branch{m: C.long(m), r: C.long(a.R), a: f(a.A), b: f(a.B), u: f(a.U), scale: C.float(a.Scale)}
}

// LinearBackward is dx from dy, and the gradients that g asks for.
func (d *Device) LinearBackward(dx, dy, x device.Tensor, m int, l *device.Linear, g *device.LinearGrad) {
	c := layer(l)
	if g == nil {
		g = &device.LinearGrad{}
	}
	var branch *C.branch
	if l.LoRA != nil {
		branch = branchOf(l.LoRA, m)
	}
	grad := C.linear_grad{w: t(g.W), bias: f(g.Bias), a: f(g.A), b: f(g.B), du: f(g.DU)}
	C.cpu_linear_backward(d.c, t(dx), t(dy), t(x), C.long(m), &c, branch, &grad)
}

// Merge adds the LoRA branch to the weight.
func (d *Device) Merge(l *device.Linear) {
	c := layer(l)
	C.cpu_merge(d.c, &c, branchOf(l.LoRA, 0))
}

// layer is the C form of l.
func layer(l *device.Linear) C.linear {
	c := C.linear{w: stored(l.W), bias: f(l.Bias), i: C.long(l.I), o: C.long(l.O)}
	if a := l.LoRA; a != nil {
		c.dropout, c.seed = C.float(a.Dropout), C.uint64_t(a.Seed)
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
