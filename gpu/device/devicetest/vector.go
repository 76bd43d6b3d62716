package devicetest

import (
	"fmt"
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

func swigluCases() []testCase {
	var all []testCase
	for _, s := range []struct {
		m, f  int
		scale float64
	}{{1, 1, 1}, {3, 19, 1}, {17, 64, 5}, {130, 37, 1}, {2, 16, 60}} {
		for _, f := range activations {
			name := fmt.Sprintf("M=%d,F=%d,scale=%g,%v", s.m, s.f, s.scale, f)
			r := random(name)
			u, dz := draw(r, f, 2*s.m*s.f, s.scale), draw(r, f, s.m*s.f, 1)
			du := swigluBackward(dz, u, s.m, s.f)
			all = append(all,
				testCase{name: "SwiGLU/" + name, operands: []operand{out("z", f, swiglu(u, s.m, s.f)), in("u", f, u)},
					run: func(c *call) { c.SwiGLU(c.t("z"), c.t("u"), s.m, s.f) }},
				testCase{name: "SwiGLUBackward/" + name, operands: []operand{out("du", f, du), in("dz", f, dz), in("u", f, u)},
					run: func(c *call) { c.SwiGLUBackward(c.t("du"), c.t("dz"), c.t("u"), s.m, s.f) }},
				testCase{name: "SwiGLUBackward/inplace/" + name, operands: []operand{in("dz", f, dz), inout("u", f, u, du)},
					run: func(c *call) { c.SwiGLUBackward(c.t("u"), c.t("dz"), c.t("u"), s.m, s.f) }})
		}
	}
	return all
}

// vectorCases are operators on runs of numbers, which are F32.
func vectorCases() []testCase {
	var all []testCase
	const f = device.F32
	for _, n := range []int{1, 17, 1000, 200001} {
		r := random(fmt.Sprint("vectors ", n))
		x, y := draw(r, f, n, 1), draw(r, f, n, 1)
		steep := stored(f, scaled(x, 5))
		wave, slope := append([]float64(nil), steep...), append([]float64(nil), y...)
		for j := range wave {
			wave[j] = math.Tanh(wave[j])
			slope[j] *= 1 - math.Pow(rounded(f, wave[j]), 2)
		}
		size := fmt.Sprintf("N=%d", n)
		backward := func(dx string) func(c *call) {
			return func(c *call) { c.TanhBackward(c.t(dx), c.t("dy"), c.t("y")) }
		}
		masked := dropped(x, 0.4, 7)
		all = append(all,
			testCase{name: "Axpy/" + size, operands: []operand{inout("y", f, y, plus(y, scaled(x, float64(float32(-0.3))))), in("x", f, x)},
				run: func(c *call) { c.Axpy(c.t("y"), -0.3, c.t("x")) }},
			testCase{name: "Tanh/" + size, operands: []operand{out("y", f, wave), in("x", f, steep)},
				run: func(c *call) { c.Tanh(c.t("y"), c.t("x")) }},
			testCase{name: "TanhBackward/" + size, operands: []operand{out("dx", f, slope), in("dy", f, y), in("y", f, wave)}, run: backward("dx")},
			testCase{name: "TanhBackward/inplace/" + size, operands: []operand{inout("dy", f, y, slope), in("y", f, wave)}, run: backward("dy")},
			testCase{name: "Dropout/" + size, operands: []operand{out("y", f, masked), in("x", f, x)},
				run: func(c *call) { c.Dropout(c.t("y"), c.t("x"), 0.4, 7) }},
			testCase{name: "Dropout/inplace/" + size, operands: []operand{inout("x", f, x, masked)},
				run: func(c *call) { c.Dropout(c.t("x"), c.t("x"), 0.4, 7) }},
			testCase{name: "Dropout/none/" + size, operands: []operand{out("y", f, x), in("x", f, x)},
				run: func(c *call) { c.Dropout(c.t("y"), c.t("x"), 0, 7) }})
	}
	return all
}

// noiseCases: every sequence has a stream and a size of its own, so that what
// stands beside it changes nothing.
func noiseCases() []testCase {
	var all []testCase
	const a, seed = 5, 9
	for _, cu := range [][]int32{{0, 1}, {0, 3, 3, 4, 40}} {
		for _, h := range []int{1, 19, 64} {
			for _, f := range activations {
				name := fmt.Sprintf("cu_seqlens=%v,H=%d,%v", cu, h, f)
				x := draw(random(name), f, int(cu[len(cu)-1])*h, 1)
				var want []float64
				for s, lo := range cu[:len(cu)-1] {
					size := int(cu[s+1]-lo) * h
					for i := range size {
						u := float64(device.Uniform(device.Stream(seed, uint64(s)), uint64(i)))
						want = append(want, x[int(lo)*h+i]+a/math.Sqrt(float64(size))*(2*u-1))
					}
				}
				batch := device.Batch{CuSeqlens: cu}
				all = append(all, testCase{name: "Noise/" + name, operands: []operand{inout("x", f, x, want)},
					run: func(c *call) { c.Noise(c.t("x"), c.pass(batch), h, a, seed) }})
			}
		}
	}
	return all
}

// copyCases convert between the formats, to and from any number of a tensor.
func copyCases() []testCase {
	var all []testCase
	for _, n := range []int{1, 7, 1000, 40001} {
		for _, from := range activations {
			for _, to := range activations {
				name := fmt.Sprintf("N=%d,%v to %v", n, from, to)
				r := random(name)
				x, y := draw(r, from, n+8, 1), draw(r, to, n+8, 1)
				want := append([]float64(nil), y...)
				copy(want[3:], stored(to, x[5:5+n]))
				all = append(all, testCase{name: "Copy/" + name,
					operands: []operand{operand{name: "y", format: to, size: len(y) * to.Size(), before: encode(to, y), exact: encode(to, want)}, in("x", from, x)},
					run:      func(c *call) { c.Copy(c.t("y").Slice(3, 3+n), c.t("x").Slice(5, 5+n)) }})
			}
		}
	}
	for _, n := range []int{1, 2, 33, 70001} {
		r := random("swap")
		a, b := make([]byte, n), make([]byte, n)
		for i := range a {
			a[i], b[i] = byte(r.Uint32()), byte(r.Uint32())
		}
		all = append(all, testCase{name: fmt.Sprintf("Swap/N=%d", n),
			operands: []operand{{name: "a", size: n, before: a, exact: b}, {name: "b", size: n, before: b, exact: a}},
			run:      func(c *call) { c.Swap(c.m("a"), c.m("b")) }},
			testCase{name: fmt.Sprintf("Zero/N=%d", n),
				operands: []operand{{name: "a", size: n, exact: make([]byte, n)}},
				run:      func(c *call) { c.Zero(c.m("a")) }})
	}
	return all
}
