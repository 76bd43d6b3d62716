package devicetest

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/glmflow/glmflow/gpu/device"
)

// masters are weights before and after a step, in float32 or split in two.
type masters struct {
	name          string
	format        device.Format
	before, after []float64
}

func newMasters(r *rand.Rand, name string, f device.Format, n int) *masters {
	m := &masters{name: name, format: f, before: draw(r, device.F32, n, 1)}
	m.after = append([]float64(nil), m.before...)
	return m
}

// halves are the numbers as a BF16 tensor and what is left of their bits, as
// device.Weights draws it.
func halves(x []float64) (high, low []byte) {
	for _, v := range x {
		bits := math.Float32bits(float32(v))
		low = binary.LittleEndian.AppendUint16(low, uint16(bits))
		if bits&0xFFFF >= 0x8000 {
			bits += 0x10000
		}
		high = binary.LittleEndian.AppendUint16(high, uint16(bits>>16))
	}
	return high, low
}

// joined is the other direction. An upper half that is not the float32 rounded
// is an error.
func joined(high, low []byte) ([]float64, error) {
	x := make([]float64, len(high)/2)
	for i := range x {
		h, l := binary.LittleEndian.Uint16(high[2*i:]), binary.LittleEndian.Uint16(low[2*i:])
		bits := uint32(h)<<16 | uint32(l)
		if l >= 0x8000 {
			bits -= 0x10000
		}
		x[i] = float64(math.Float32frombits(bits))
		if again, _ := halves(x[i : i+1]); binary.LittleEndian.Uint16(again) != h {
			return nil, fmt.Errorf("weight %d: the upper half %#04x is not the nearest to %g", i, h, x[i])
		}
	}
	return x, nil
}

// operands of the weights; idle where nothing may change them.
func (m *masters) operands(idle bool) []operand {
	if m.format == device.F32 {
		w := in(m.name, device.F32, m.before)
		if !idle {
			w.want = m.after
		}
		return []operand{w}
	}
	high, low := halves(m.before)
	w, rest := inBytes(m.name, high), inBytes(m.name+" low", low)
	w.format, w.judged, rest.judged = device.BF16, !idle, !idle
	return []operand{w, rest}
}

func (m *masters) on(c *call) device.Weights {
	return device.Weights{W: c.t(m.name), Low: c.m(m.name + " low")}
}

// check judges split weights by the float32 numbers that they are.
func (m *masters) check(after results, limit float64) (float64, error) {
	if m.format == device.F32 {
		return 0, nil
	}
	got, err := joined(after[m.name], after[m.name+" low"])
	if err != nil {
		return 0, err
	}
	worst, at := apart(device.F32, got, m.after)
	if !(worst <= limit) {
		return worst, fmt.Errorf("%s[%d] with its lower half is %g, want %g, was %g", m.name, at, got[at], m.after[at], m.before[at])
	}
	return worst, nil
}

// A step is one call of an optimizer: formats, and a factor that may not be a
// number.
type step struct {
	n       int
	w, g    device.Format
	narrow  bool
	factor  float64
	moments []*memories
	masters *masters
	grads   []float64
}

// steps are all combinations of formats, in small; F32 alone in large.
func steps() []step {
	var all []step
	for _, n := range []int{1, 17, 300, 70001} {
		for _, narrow := range []bool{false, true} {
			for _, f := range [][2]device.Format{{device.F32, device.F32}, {device.BF16, device.F32}, {device.BF16, device.BF16}} {
				for _, factor := range []float64{1, 0.25, math.NaN()} {
					if n > 300 && factor != 0.25 {
						continue
					}
					all = append(all, step{n: n, w: f[0], g: f[1], narrow: narrow, factor: factor})
				}
			}
		}
	}
	return all
}

func (s step) String() string {
	return fmt.Sprintf("N=%d,narrow=%t,w=%v,g=%v,factor=%g", s.n, s.narrow, s.w, s.g, s.factor)
}

// draw fills in weights and gradients.
func (s *step) draw(r *rand.Rand) {
	s.masters, s.grads = newMasters(r, "w", s.w, s.n), draw(r, s.g, s.n, 1)
}

// moment draws a moment.
func (s *step) moment(r *rand.Rand, name string, signed, fresh bool, size float64) *memories {
	m := newMemories(r, name, s.n, s.narrow, signed, fresh, size)
	s.moments = append(s.moments, m)
	return m
}

// testCase is the step, which does nothing where the factor is not a number.
func (s *step) testCase(name string, run func(c *call, w device.Weights, g, factor device.Tensor)) testCase {
	idle := math.IsNaN(s.factor)
	norm := in("norm", device.F32, []float64{123, s.factor}) // as ClipNorm leaves it
	operands := append(s.masters.operands(idle), in("g", s.g, s.grads), norm)
	for _, m := range s.moments {
		operands = append(operands, m.operands(idle)...)
	}
	t := testCase{name: name, operands: operands, run: func(c *call) { run(c, s.masters.on(c), c.t("g"), c.t("norm").Slice(1, 2)) }}
	if !idle && (s.narrow || s.w == device.BF16) {
		t.check = func(after results, limit float64) (float64, error) {
			most, err := s.masters.check(after, limit)
			for _, m := range s.moments {
				if err != nil {
					break
				}
				var worst float64
				worst, err = m.check(after, limit)
				most = max(most, worst)
			}
			return most, err
		}
	}
	return t
}

// optimizerCases follow the formulas in gpu/device/optimizer.go.
func optimizerCases() []testCase {
	var all []testCase
	for _, s := range steps() {
		for _, c := range []device.AdamW{
			{LR: 1e-2, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 1},
			{LR: 5e-5, Beta1: 0.9, Beta2: 0.98, Eps: 1e-6, WeightDecay: 0.1, Step: 1000},
		} {
			all = append(all, adamwCase(s, c))
		}
		for _, c := range []device.SGD{
			{LR: 0.1, WeightDecay: 0.01},
			{LR: 1e-3, Momentum: 0.9},
			{LR: 1e-3, Momentum: 0.9, Nesterov: true, WeightDecay: 0.1},
		} {
			if c.Momentum != 0 || !s.narrow {
				all = append(all, sgdCase(s, c))
			}
		}
		all = append(all, lionCase(s, device.Lion{LR: 1e-3, Beta1: 0.9, Beta2: 0.99, WeightDecay: 0.1}))
	}
	return all
}

func adamwCase(s step, c device.AdamW) testCase {
	name := fmt.Sprintf("AdamW/step=%d,%v", c.Step, s)
	r := random(name)
	s.draw(r)
	mean, square := s.moment(r, "m", true, c.Step == 1, 0.1), s.moment(r, "v", false, c.Step == 1, 0.1)
	b1, b2, t := float64(c.Beta1), float64(c.Beta2), float64(c.Step)
	for j, w := range s.masters.before {
		g := s.factor * s.grads[j]
		m := b1*mean.before[j] + (1-b1)*g
		v := b2*square.before[j] + (1-b2)*g*g
		change := m / (1 - math.Pow(b1, t)) / (math.Sqrt(v/(1-math.Pow(b2, t))) + float64(c.Eps))
		s.masters.after[j] = w - float64(c.LR)*(change+float64(c.WeightDecay)*w)
		mean.after[j], square.after[j] = m, v
	}
	return s.testCase(name, func(on *call, w device.Weights, g, factor device.Tensor) {
		on.AdamW(w, g, mean.on(on), square.on(on), factor, c)
	})
}

func sgdCase(s step, c device.SGD) testCase {
	name := fmt.Sprintf("SGD/momentum=%g,nesterov=%t,%v", c.Momentum, c.Nesterov, s)
	r := random(name)
	s.draw(r)
	mean := newMemories(r, "m", s.n, s.narrow, true, false, 1)
	if c.Momentum != 0 {
		s.moments = append(s.moments, mean)
	}
	for j, w := range s.masters.before {
		g := s.factor*s.grads[j] + float64(c.WeightDecay)*w
		m := g
		if c.Momentum != 0 {
			m += float64(c.Momentum) * mean.before[j]
		}
		mean.after[j] = m
		if c.Nesterov {
			m = g + float64(c.Momentum)*m
		}
		s.masters.after[j] -= float64(c.LR) * m
	}
	return s.testCase(name, func(on *call, w device.Weights, g, factor device.Tensor) {
		on.SGD(w, g, mean.on(on), factor, c)
	})
}

func lionCase(s step, c device.Lion) testCase {
	name := fmt.Sprintf("Lion/%v", s)
	r := random(name)
	s.draw(r)
	mean := s.moment(r, "m", true, false, 1)
	s.grads[0] = 0 // whose sign is 0 where there is no momentum either
	if !s.narrow {
		mean.before[0] = 0
		mean.v = encode(device.F32, mean.before)
	}
	for j, w := range s.masters.before {
		g := s.factor * s.grads[j]
		way := float64(c.Beta1)*mean.before[j] + (1-float64(c.Beta1))*g
		w -= float64(c.LR) * float64(c.WeightDecay) * w
		if way != 0 {
			w -= float64(c.LR) * math.Copysign(1, way)
		}
		s.masters.after[j] = w
		mean.after[j] = float64(c.Beta2)*mean.before[j] + (1-float64(c.Beta2))*g
	}
	return s.testCase(name, func(on *call, w device.Weights, g, factor device.Tensor) {
		on.Lion(w, g, mean.on(on), factor, c)
	})
}
