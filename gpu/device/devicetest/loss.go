package devicetest

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

func crossEntropyCases() []testCase {
	var all []testCase
	for _, s := range []struct {
		m, h, v int
		size    float64 // of x: large ones make logits in the hundreds
	}{{1, 7, 5, 1}, {3, 16, 33, 1}, {17, 19, 301, 1}, {5, 8, 40, 100}, {1100, 5, 21, 1}} {
		name := fmt.Sprintf("M=%d,H=%d,V=%d,size=%g", s.m, s.h, s.v, s.size)
		r := random(name)
		x, w := normal(r, s.m*s.h, s.size), normal(r, s.v*s.h, 1)
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
			const scale = 0.25
			nll, dx, dw := crossEntropy(wide(x), wide(w), targets, s.m, s.h, s.v)
			dx, dw = scaled(dx, scale), scaled(dw, scale)
			before := normal(r, s.v*s.h, 1)
			run := func(d device.Device, m []device.Mem) {
				d.CrossEntropy(m[0], m[1], m[2], m[3], m[4], targets, s.m, s.h, s.v, scale)
			}
			all = append(all,
				testCase{name: "CrossEntropy/loss/" + kind + "/" + name, product: true, run: run,
					operands: []operand{out("nll", nll), none("dx"), none("dw"), in("x", x), in("w", w)}},
				testCase{name: "CrossEntropy/frozen/" + kind + "/" + name, product: true, run: run,
					operands: []operand{out("nll", nll), out("dx", dx), none("dw"), in("x", x), in("w", w)}},
				testCase{name: "CrossEntropy/all/" + kind + "/" + name, product: true, run: run,
					operands: []operand{out("nll", nll), out("dx", dx), inout("dw", before, plus(before, dw)), in("x", x), in("w", w)}})
		}
	}
	return all
}
