package devicetest

import (
	"fmt"
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

// clipCases are norms and the factor that clips to them.
func clipCases() []testCase {
	var all []testCase
	for _, n := range []int{1, 17, 1000, 200001} {
		for _, f := range activations {
			for _, scale := range []float64{1, 1e-6, 1e25} { // whose squares float32 has not
				for _, limit := range []float32{0, 1, 1e30} {
					name := fmt.Sprintf("N=%d,%v,scale=%g,limit=%g", n, f, scale, limit)
					if n > 1000 && (limit != 1 || scale != 1) {
						continue
					}
					g := draw(random(name), f, n, scale)
					norm, factor := 0.0, 1.0
					for _, x := range g {
						norm += x * x
					}
					norm = math.Sqrt(norm)
					if limit > 0 {
						factor = min(1, float64(limit)/(norm+1e-6))
					}
					all = append(all, clipCase(name, f, g, limit, norm, factor)...)
				}
			}
		}
	}
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		for _, limit := range []float32{0, 1} {
			for _, f := range activations {
				g := draw(random("broken"), f, 1000, 1)
				g[997] = x
				all = append(all, clipCase(fmt.Sprintf("broken,%g,%v,limit=%g", x, f, limit), f, g, limit, math.Abs(x), math.NaN())...)
			}
		}
	}
	zeros := make([]float64, 33)
	return append(all, clipCase("zeros", device.F32, zeros, 1, 0, 1)...)
}

// clipCase gives numbers as one tensor, and in parts of several sizes and
// formats.
func clipCase(name string, f device.Format, g []float64, most float32, norm, factor float64) []testCase {
	check := func(after results, limit float64) (float64, error) {
		furthest := 0.0
		got := after.numbers("norm", device.F32)
		for i, want := range []float64{norm, factor} {
			if want-want != 0 {
				if got[i] != want && !(got[i] != got[i] && want != want) {
					return math.Inf(1), fmt.Errorf("norm[%d] = %g, want %g", i, got[i], want)
				}
				continue
			}
			worst, _ := apart(device.F32, got[i:i+1], []float64{want})
			if furthest = max(furthest, worst); !(worst <= limit) {
				return worst, fmt.Errorf("norm[%d] = %g, want %g", i, got[i], want)
			}
		}
		return furthest, nil
	}
	result := judged(operand{name: "norm", format: device.F32, size: 8})
	a, b := len(g)/3, len(g)/2
	return []testCase{
		{name: "ClipNorm/" + name, operands: []operand{in("g", f, g), result}, check: check,
			run: func(c *call) { c.ClipNorm(c.t("norm"), []device.Tensor{c.t("g")}, most) }},
		{name: "ClipNorm/parts/" + name, check: check,
			operands: []operand{in("g0", f, g[:a]), in("g1", device.F32, g[a:b]), in("g2", f, g[b:]), result},
			run:      func(c *call) { c.ClipNorm(c.t("norm"), []device.Tensor{c.t("g0"), c.t("g1"), c.t("g2")}, most) }},
	}
}

func averageCases() []testCase {
	var all []testCase
	for _, n := range []int{1, 17, 300, 70001} {
		for _, f := range activations {
			for _, keep := range []float32{0, 0.9, 1} {
				if n > 300 && keep != 0.9 {
					continue
				}
				name := fmt.Sprintf("Average/N=%d,%v,keep=%g", n, f, keep)
				r := random(name)
				avg, w := newMasters(r, "avg", f, n), newMasters(r, "w", f, n)
				for i := range avg.after {
					avg.after[i] = float64(keep)*avg.before[i] + (1-float64(keep))*w.before[i]
				}
				c := testCase{name: name, operands: append(avg.operands(false), w.operands(true)...),
					run: func(c *call) { c.Average(avg.on(c), w.on(c), keep) }}
				if f == device.BF16 {
					c.check = avg.check
				}
				all = append(all, c)
			}
		}
	}
	return all
}
