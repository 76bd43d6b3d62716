package devicetest

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

func crossEntropyCases() []testCase {
	var all []testCase
	type shape struct {
		m, h, v int
		size    float64       // of x: large ones make logits in the hundreds
		format  device.Format // of w
	}
	shapes := []shape{{1, 7, 5, 1, device.F32}, {3, 16, 33, 1, device.F32}, {17, 19, 301, 1, device.F32}, {5, 8, 40, 100, device.F32}, {1100, 5, 21, 1, device.F32}}
	for _, f := range formats[1:] {
		shapes = append(shapes, shape{3, 16, 33, 1, f}, shape{40, 19, 301, 1, f})
	}
	for _, s := range shapes {
		name := named(s.format, fmt.Sprintf("M=%d,H=%d,V=%d,size=%g", s.m, s.h, s.v, s.size))
		r := random(name)
		x, w := normal(r, s.m*s.h, s.size), newWeight(r, s.format, s.v, s.h)
		some, ignored := make([]int32, s.m), make([]int32, s.m)
		for i := range some {
			some[i], ignored[i] = r.Int32N(int32(s.v)), -100
			if i%3 == 1 {
				some[i] = -1
			}
		}
		for _, kind := range []string{"some", "none"} {
			targets := some
			if kind == "none" {
				targets = ignored
			}
			for _, g := range []struct{ smoothing, anchor float32 }{{0, 0}, {0.1, 0}, {0, 0.5}, {0.25, 2}} {
				if kind == "none" && (g.smoothing > 0 || g.anchor > 0) || s.format != device.F32 && g.smoothing > 0 {
					continue
				}
				all = append(all, goalCases(fmt.Sprintf("ε=%g,λ=%g/%s/%s", g.smoothing, g.anchor, kind, name), lossCase{s.m, s.h, s.v, x, w, targets, g.smoothing, g.anchor})...)
			}
		}
	}
	return all
}

// A lossCase is what CrossEntropy reads.
type lossCase struct {
	m, h, v           int
	x                 []float32
	w                 *weight
	targets           []int32
	smoothing, anchor float32
}

func goalCases(name string, c lossCase) []testCase {
	const scale = 0.25
	r := random(name)
	other, before := normal(r, c.m*c.h, 1), normal(r, c.v*c.h, 1)
	base := none("base")
	if c.anchor > 0 {
		for i, v := range c.x { // like x, but for the size of its numbers
			other[i] += v
		}
		base = in("base", other)
	}
	loss, dx, dw := crossEntropy(wide(c.x), c.w.values, wide(other), c.targets, c.m, c.h, c.v, float64(c.smoothing), float64(c.anchor))
	dx, dw = scaled(dx, scale), scaled(dw, scale)
	run := func(d device.Device, m []device.Mem) {
		d.CrossEntropy(m[0], m[1], m[2], m[3], c.w.matrix(m[5], m[6]), c.targets, c.m, c.h, c.v, scale, device.Goal{Smoothing: c.smoothing, Anchor: c.anchor, Base: m[4]})
	}
	of := func(loss, dx, dw operand) []operand {
		return append([]operand{loss, dx, dw, in("x", c.x), base}, c.w.operands("w")...)
	}
	all := []testCase{
		{name: "CrossEntropy/loss/" + name, product: true, run: run, operands: of(out("loss", loss), none("dx"), none("dw"))},
		{name: "CrossEntropy/frozen/" + name, product: true, run: run, operands: of(out("loss", loss), out("dx", dx), none("dw"))},
	}
	if c.w.format == device.F32 {
		all = append(all, testCase{name: "CrossEntropy/all/" + name, product: true, run: run,
			operands: of(out("loss", loss), out("dx", dx), inout("dw", before, plus(before, dw)))})
	}
	return all
}
