package devicetest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/glmflow/glmflow/gpu/device"
)

// memories are a moment before and after a step.
type memories struct {
	narrow, signed bool
	v, scale       []float32 // as they lie on the device, before
	before, after  []float64 // what they mean
}

// newMemories draws a moment of n values about as large as size.
func newMemories(r *rand.Rand, n int, narrow, signed bool, size float64) *memories {
	m := &memories{narrow: narrow, signed: signed, before: make([]float64, n), after: make([]float64, n)}
	values, scales := device.MomentSizes(n, narrow)
	if !narrow {
		m.v = normal(r, n, size)
		for i := range m.v {
			if !signed {
				m.v[i] *= m.v[i]
			}
			m.before[i] = float64(m.v[i])
		}
		return m
	}
	m.v, m.scale = make([]float32, values), normal(r, scales, size)
	code := device.DynamicCode(signed)
	for i := range m.scale {
		m.scale[i] *= m.scale[i]
	}
	m.scale[0] = 0 // a block that has seen no gradient yet
	for i := range m.before {
		c := uint32(r.IntN(256))
		m.v[i/4] = math.Float32frombits(math.Float32bits(m.v[i/4]) | c<<(8*(i%4)))
		m.before[i] = float64(code.Value[c]) * float64(m.scale[i/device.MomentBlock])
	}
	return m
}

// reset makes it what it is before the first step.
func (m *memories) reset() {
	clear(m.v)
	clear(m.scale)
	clear(m.before)
}

// operands of the moment.
func (m *memories) operands(name string) []operand {
	if !m.narrow {
		return []operand{inout(name, m.v, m.after), none(name + " scale")}
	}
	judged := func(name string, before []float32) operand {
		return operand{name: name, n: len(before), before: before, judged: true}
	}
	return []operand{judged(name, m.v), judged(name+" scale", m.scale)}
}

// check judges a narrow moment: scales are the blocks' largest magnitudes, and
// codes the nearest there are, or as good as.
func (m *memories) check(name string, v, scale []float32, tolerance float64) error {
	if !m.narrow {
		return nil
	}
	code := device.DynamicCode(m.signed)
	for b, s := range scale {
		first := b * device.MomentBlock
		block := m.after[first:min(first+device.MomentBlock, len(m.after))]
		top := 0.0
		for _, x := range block {
			top = max(top, math.Abs(x))
		}
		if !(math.Abs(float64(s)-top) <= tolerance*top) {
			return fmt.Errorf("%s: scale %d is %g, want %g", name, b, s, top)
		}
		for i, x := range block {
			c := math.Float32bits(v[(first+i)/4]) >> (8 * ((first + i) % 4)) & 0xff
			off, least := math.Abs(float64(code.Value[c])*top-x), math.Inf(1)
			for _, other := range code.Value {
				least = min(least, math.Abs(float64(other)*top-x))
			}
			if !(off <= least+tolerance*top) {
				return fmt.Errorf("%s[%d] is %g and became code %d, off by %g where %g is possible", name, first+i, x, c, off, least)
			}
		}
	}
	return nil
}

// optimizerCases follow the formulas in gpu/device/optimizer.go.
func optimizerCases() []testCase {
	var all []testCase
	for _, n := range []int{1, 17, 300, 70001} {
		for _, narrow := range []bool{false, true} {
			all = append(all, adamwCases(n, narrow)...)
			all = append(all, sgdCases(n, narrow)...)
			all = append(all, lionCases(n, narrow)...)
		}
	}
	return all
}

func adamwCases(n int, narrow bool) []testCase {
	var all []testCase
	for _, s := range []device.AdamW{
		{LR: 1e-2, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 1, GradScale: 1},
		{LR: 5e-5, Beta1: 0.9, Beta2: 0.98, Eps: 1e-6, WeightDecay: 0.1, Step: 1000, GradScale: 0.25},
	} {
		name := fmt.Sprintf("AdamW/step=%d,N=%d,narrow=%t", s.Step, n, narrow)
		r := random(name)
		p, g := normal(r, n, 1), normal(r, n, 1)
		mean, square := newMemories(r, n, narrow, true, 0.1), newMemories(r, n, narrow, false, 0.1)
		if s.Step == 1 {
			mean.reset()
			square.reset()
		}
		want := wide(p)
		b1, b2, t := float64(s.Beta1), float64(s.Beta2), float64(s.Step)
		for j := range want {
			grad := float64(s.GradScale) * float64(g[j])
			m := b1*mean.before[j] + (1-b1)*grad
			v := b2*square.before[j] + (1-b2)*grad*grad
			step := m / (1 - math.Pow(b1, t)) / (math.Sqrt(v/(1-math.Pow(b2, t))) + float64(s.Eps))
			want[j] -= float64(s.LR) * (step + float64(s.WeightDecay)*want[j])
			mean.after[j], square.after[j] = m, v
		}
		all = append(all, testCase{name: name,
			operands: append(append([]operand{inout("p", p, want), in("g", g)}, mean.operands("m")...), square.operands("v")...),
			run: func(d device.Device, m []device.Mem) {
				d.AdamW(m[0], m[1], device.Moment{V: m[2], Scale: m[3]}, device.Moment{V: m[4], Scale: m[5]}, s)
			},
			check: func(after [][]float32, tolerance float64) error {
				if err := mean.check("m", after[2], after[3], tolerance); err != nil {
					return err
				}
				return square.check("v", after[4], after[5], tolerance)
			}})
	}
	return all
}

func sgdCases(n int, narrow bool) []testCase {
	var all []testCase
	for _, s := range []device.SGD{
		{LR: 0.1, GradScale: 0.5, WeightDecay: 0.01},
		{LR: 1e-3, GradScale: 1, Momentum: 0.9},
		{LR: 1e-3, GradScale: 0.25, Momentum: 0.9, Nesterov: true, WeightDecay: 0.1},
	} {
		name := fmt.Sprintf("SGD/momentum=%g,nesterov=%t,N=%d,narrow=%t", s.Momentum, s.Nesterov, n, narrow)
		r := random(name)
		p, g, mean := normal(r, n, 1), normal(r, n, 1), newMemories(r, n, narrow, true, 1)
		want := wide(p)
		for j, w := range want {
			grad := float64(s.GradScale)*float64(g[j]) + float64(s.WeightDecay)*w
			m := float64(s.Momentum)*mean.before[j] + grad
			mean.after[j] = m
			if s.Nesterov {
				m = grad + float64(s.Momentum)*m
			}
			want[j] -= float64(s.LR) * m
		}
		c := testCase{name: name, operands: []operand{inout("p", p, want), in("g", g)},
			run: func(d device.Device, m []device.Mem) { d.SGD(m[0], m[1], device.Moment{}, s) }}
		if s.Momentum != 0 {
			c.operands = append(c.operands, mean.operands("m")...)
			c.run = func(d device.Device, m []device.Mem) { d.SGD(m[0], m[1], device.Moment{V: m[2], Scale: m[3]}, s) }
			c.check = func(after [][]float32, tolerance float64) error {
				return mean.check("m", after[2], after[3], tolerance)
			}
		}
		all = append(all, c)
	}
	return all
}

func lionCases(n int, narrow bool) []testCase {
	s := device.Lion{LR: 1e-3, Beta1: 0.9, Beta2: 0.99, WeightDecay: 0.1, GradScale: 0.5}
	name := fmt.Sprintf("Lion/N=%d,narrow=%t", n, narrow)
	r := random(name)
	p, g, mean := normal(r, n, 1), normal(r, n, 1), newMemories(r, n, narrow, true, 1)
	g[0] = 0 // whose sign is 0 where there is no momentum either
	if !narrow {
		mean.v[0], mean.before[0] = 0, 0
	}
	want := wide(p)
	for j := range want {
		grad := float64(s.GradScale) * float64(g[j])
		way := float64(s.Beta1)*mean.before[j] + (1-float64(s.Beta1))*grad
		want[j] -= float64(s.LR) * float64(s.WeightDecay) * want[j]
		if way != 0 {
			want[j] -= float64(s.LR) * math.Copysign(1, way)
		}
		mean.after[j] = float64(s.Beta2)*mean.before[j] + (1-float64(s.Beta2))*grad
	}
	return []testCase{{name: name,
		operands: append([]operand{inout("p", p, want), in("g", g)}, mean.operands("m")...),
		run: func(d device.Device, m []device.Mem) {
			d.Lion(m[0], m[1], device.Moment{V: m[2], Scale: m[3]}, s)
		},
		check: func(after [][]float32, tolerance float64) error {
			return mean.check("m", after[2], after[3], tolerance)
		}}}
}
