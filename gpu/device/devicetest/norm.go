package devicetest

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

// A normCase is a norm's shape and formats: of the stream and of what is read
// off it.
type normCase struct {
	m, h             int
	scale            float64
	residual, active device.Format
}

func (s normCase) String() string {
	return fmt.Sprintf("M=%d,H=%d,residual=%v,%v", s.m, s.h, s.residual, s.active)
}

func normCases() []testCase {
	var all []testCase
	for _, s := range []normCase{
		{m: 1, h: 1, scale: 1}, {m: 1, h: 64, scale: 1}, {m: 3, h: 19, scale: 1}, {m: 17, h: 33, scale: 1e-3}, {m: 150, h: 70, scale: 100},
	} {
		for _, s.residual = range activations {
			for _, s.active = range activations {
				all = append(all, s.forward()...)
				all = append(all, s.backward()...)
			}
		}
	}
	return all
}

func (s normCase) forward() []testCase {
	r := random(s.String())
	n := s.m * s.h
	x, res, w := draw(r, s.residual, n, s.scale), draw(r, s.active, n, s.scale), draw(r, device.F32, s.h, 1)
	sum := stored(s.residual, plus(x, res)) // what is normed is what was stored
	y, rstd := norm(x, w, s.m, s.h, 1e-5)
	y2, rstd2 := norm(sum, w, s.m, s.h, 1e-5)
	run := func(sum string) func(c *call) {
		return func(c *call) {
			c.RMSNorm(c.t("y"), c.t("rstd"), c.t(sum), c.t("x"), c.t("res"), c.t("w"), s.m, s.h, 1e-5)
		}
	}
	weights := in("w", device.F32, w)
	return []testCase{
		{name: "RMSNorm/plain/" + s.String(), run: run(""),
			operands: []operand{out("y", s.active, y), out("rstd", device.F32, rstd), in("x", s.residual, x), weights}},
		{name: "RMSNorm/residual/" + s.String(), run: run("sum"),
			operands: []operand{out("y", s.active, y2), out("rstd", device.F32, rstd2), out("sum", s.residual, sum),
				in("x", s.residual, x), in("res", s.active, res), weights}},
		{name: "RMSNorm/inplace/" + s.String(), run: run("x"),
			operands: []operand{out("y", s.active, y2), out("rstd", device.F32, rstd2), inout("x", s.residual, x, sum),
				in("res", s.active, res), weights}},
	}
}

func (s normCase) backward() []testCase {
	r := random("backward " + s.String())
	n := s.m * s.h
	x, w, dy := draw(r, s.residual, n, s.scale), draw(r, device.F32, s.h, 1), draw(r, s.active, n, 1)
	_, rstd := norm(x, w, s.m, s.h, 1e-5)
	dx, dw := normBackward(dy, x, w, rstd, s.m, s.h)
	before, beforeW := draw(r, s.residual, n, 1/s.scale), draw(r, device.F32, s.h, 1)
	run := func(c *call) {
		c.RMSNormBackward(c.t("dx"), c.t("dw"), c.t("dy"), c.t("x"), c.t("w"), c.t("rstd"), s.m, s.h)
	}
	operands := []operand{inout("dx", s.residual, before, plus(before, dx)), in("dy", s.active, dy), in("x", s.residual, x),
		in("w", device.F32, w), in("rstd", device.F32, rstd)}
	return []testCase{
		{name: "RMSNormBackward/all/" + s.String(), run: run,
			operands: append(operands, inout("dw", device.F32, beforeW, plus(beforeW, dw)))},
		{name: "RMSNormBackward/frozen/" + s.String(), run: run, operands: operands[:5:5]},
	}
}
