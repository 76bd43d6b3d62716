package devicetest

import (
	"fmt"
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

func cases() []testCase {
	var all []testCase
	all = append(all, embedCases()...)
	all = append(all, normCases()...)
	all = append(all, linearCases()...)
	all = append(all, swigluCases()...)
	all = append(all, rotaryCases()...)
	all = append(all, attentionCases()...)
	all = append(all, cachedCases()...)
	all = append(all, crossEntropyCases()...)
	all = append(all, vectorCases()...)
	return append(all, optimizerCases()...)
}

func embedCases() []testCase {
	var all []testCase
	for _, h := range []int{1, 7, 64, 130} {
		name := fmt.Sprintf("H=%d", h)
		r := random(name)
		ids := []int32{3, 0, 3, 10, 3}
		dy, before := normal(r, len(ids)*h, 1), normal(r, 11*h, 1)
		dtable := wide(before)
		for m, id := range ids {
			for j := range h {
				dtable[int(id)*h+j] += float64(dy[m*h+j])
			}
		}
		for _, f := range formats {
			table := newWeight(r, f, 11, h)
			var y []float64
			for _, id := range ids {
				y = append(y, table.values[int(id)*h:(int(id)+1)*h]...)
			}
			all = append(all, testCase{name: "Embed/" + named(f, name), operands: append([]operand{out("y", y)}, table.operands("table")...),
				run: func(d device.Device, m []device.Mem) { d.Embed(m[0], table.matrix(m[1], m[2]), ids, h) }})
		}
		all = append(all,
			testCase{name: "EmbedBackward/" + name, operands: []operand{inout("dtable", before, dtable), in("dy", dy)},
				run: func(d device.Device, m []device.Mem) { d.EmbedBackward(m[0], m[1], ids, h) }})
	}
	return all
}

func normCases() []testCase {
	var all []testCase
	for _, s := range []struct {
		m, h  int
		scale float64
	}{{1, 1, 1}, {1, 64, 1}, {3, 19, 1}, {17, 33, 1e-3}, {150, 70, 100}} {
		name := fmt.Sprintf("M=%d,H=%d", s.m, s.h)
		r := random(name)
		x, res, w, dy := normal(r, s.m*s.h, s.scale), normal(r, s.m*s.h, s.scale), normal(r, s.h, 1), normal(r, s.m*s.h, 1)
		sum := narrow(plus(x, wide(res)))
		y, rstd := norm(wide(x), wide(w), s.m, s.h, 1e-5)
		y2, rstd2 := norm(wide(sum), wide(w), s.m, s.h, 1e-5)
		dx, dw := normBackward(wide(dy), wide(x), wide(w), rstd, s.m, s.h)
		before, beforeW := normal(r, s.m*s.h, 1/s.scale), normal(r, s.h, 1)
		forward := func(d device.Device, m []device.Mem) { d.RMSNorm(m[0], m[1], m[2], m[3], m[4], s.m, s.h, 1e-5) }
		backward := func(d device.Device, m []device.Mem) {
			d.RMSNormBackward(m[0], m[1], m[2], m[3], m[4], m[5], s.m, s.h)
		}
		all = append(all,
			testCase{name: "RMSNorm/plain/" + name, run: forward,
				operands: []operand{out("y", y), out("rstd", rstd), in("x", x), none("res"), in("w", w)}},
			testCase{name: "RMSNorm/residual/" + name, run: forward,
				operands: []operand{out("y", y2), out("rstd", rstd2), inout("x", x, wide(sum)), in("res", res), in("w", w)}},
			testCase{name: "RMSNormBackward/" + name, run: backward,
				operands: []operand{inout("dx", before, plus(before, dx)), inout("dw", beforeW, plus(beforeW, dw)),
					in("dy", dy), in("x", x), in("w", w), in("rstd", narrow(rstd))}},
			testCase{name: "RMSNormBackward/frozen/" + name, run: backward,
				operands: []operand{inout("dx", before, plus(before, dx)), none("dw"),
					in("dy", dy), in("x", x), in("w", w), in("rstd", narrow(rstd))}})
	}
	return all
}

func swigluCases() []testCase {
	var all []testCase
	for _, s := range []struct {
		m, f  int
		scale float64
	}{{1, 1, 1}, {3, 19, 1}, {17, 64, 5}, {130, 37, 1}, {2, 16, 60}} {
		name := fmt.Sprintf("M=%d,F=%d,scale=%g", s.m, s.f, s.scale)
		r := random(name)
		u, dz := normal(r, 2*s.m*s.f, s.scale), normal(r, s.m*s.f, 1)
		all = append(all,
			testCase{name: "SwiGLU/" + name, operands: []operand{out("z", swiglu(wide(u), s.m, s.f)), in("u", u)},
				run: func(d device.Device, m []device.Mem) { d.SwiGLU(m[0], m[1], s.m, s.f) }},
			testCase{name: "SwiGLUBackward/" + name,
				operands: []operand{out("du", swigluBackward(wide(dz), wide(u), s.m, s.f)), in("dz", dz), in("u", u)},
				run:      func(d device.Device, m []device.Mem) { d.SwiGLUBackward(m[0], m[1], m[2], s.m, s.f) }})
	}
	return all
}

func vectorCases() []testCase {
	var all []testCase
	for _, n := range []int{1, 17, 1000, 200001} {
		r := random(fmt.Sprint(n))
		x, y := normal(r, n, 1), normal(r, n, 1)
		sum := 0.0
		for _, v := range x {
			sum += float64(v) * float64(v)
		}
		all = append(all,
			testCase{name: fmt.Sprintf("Axpy/N=%d", n),
				operands: []operand{inout("y", y, plus(y, scaled(wide(x), -0.3))), in("x", x)},
				run:      func(d device.Device, m []device.Mem) { d.Axpy(m[0], -0.3, m[1]) }},
			testCase{name: fmt.Sprintf("Scale/N=%d", n),
				operands: []operand{inout("x", x, scaled(wide(x), 1.7))},
				run:      func(d device.Device, m []device.Mem) { d.Scale(m[0], 1.7) }},
			testCase{name: fmt.Sprintf("SumSquares/N=%d", n), // the two halves of its float64
				operands: []operand{in("x", x), out("sum", []float64{sum})},
				run: func(d device.Device, m []device.Mem) {
					d.Upload(m[1], []float32{float32(d.SumSquares(m[0]))})
				}})
		steep := narrow(scaled(wide(x), 5))
		wave, noisy, slope := wide(steep), wide(x), wide(y)
		for j := range wave {
			wave[j] = math.Tanh(wave[j])
			slope[j] *= 1 - math.Pow(float64(float32(wave[j])), 2)
			noisy[j] += 0.3 * (2*float64(device.Uniform(9, uint64(j))) - 1)
		}
		all = append(all,
			testCase{name: fmt.Sprintf("Tanh/N=%d", n), operands: []operand{out("y", wave), in("x", steep)},
				run: func(d device.Device, m []device.Mem) { d.Tanh(m[0], m[1]) }},
			testCase{name: fmt.Sprintf("TanhBackward/N=%d", n), operands: []operand{out("dx", slope), in("dy", y), in("y", narrow(wave))},
				run: func(d device.Device, m []device.Mem) { d.TanhBackward(m[0], m[1], m[2]) }},
			testCase{name: fmt.Sprintf("Dropout/N=%d", n), operands: []operand{out("y", dropped(wide(x), 0.4, 7)), in("x", x)},
				run: func(d device.Device, m []device.Mem) { d.Dropout(m[0], m[1], 0.4, 7) }},
			testCase{name: fmt.Sprintf("Dropout/inplace/N=%d", n), operands: []operand{inout("x", x, dropped(wide(x), 0.4, 7))},
				run: func(d device.Device, m []device.Mem) { d.Dropout(m[0], m[0], 0.4, 7) }},
			testCase{name: fmt.Sprintf("Noise/N=%d", n), operands: []operand{inout("x", x, noisy)},
				run: func(d device.Device, m []device.Mem) { d.Noise(m[0], 0.3, 9) }})
	}
	return all
}
