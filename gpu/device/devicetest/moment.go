package devicetest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/glmflow/glmflow/gpu/device"
)

// memories are a moment before and after a step.
type memories struct {
	name           string
	narrow, signed bool
	v              []byte    // as it lies on the device, before
	scale          []float64 // of blocks
	before, after  []float64 // what it means
}

// newMemories draws a moment of n values about as large as size, or with fresh
// what it is before the first step.
func newMemories(r *rand.Rand, name string, n int, narrow, signed, fresh bool, size float64) *memories {
	m := &memories{name: name, narrow: narrow, signed: signed, before: make([]float64, n), after: make([]float64, n)}
	bytes, scales := device.MomentBytes(n, narrow)
	switch {
	case fresh:
		m.v, m.scale = make([]byte, bytes), make([]float64, scales/4)
	case !narrow:
		m.before = draw(r, device.F32, n, size)
		for i, x := range m.before {
			if !signed {
				m.before[i] = rounded(device.F32, x*x)
			}
		}
		m.v = encode(device.F32, m.before)
	default:
		m.v, m.scale = make([]byte, bytes), draw(r, device.F32, scales/4, size)
		for i, x := range m.scale {
			m.scale[i] = rounded(device.F32, x*x)
		}
		m.scale[0] = 0 // a block that has seen no gradient yet
		code := device.DynamicCode(signed)
		for i := range m.before {
			m.v[i] = byte(r.Uint32())
			m.before[i] = float64(code.Value[m.v[i]]) * m.scale[i/device.MomentBlock]
		}
	}
	return m
}

// operands of the moment, which a step that does nothing leaves as they are.
func (m *memories) operands(idle bool) []operand {
	v := operand{name: m.name, format: device.F32, size: len(m.v), before: m.v}
	scale := in(m.name+" scale", device.F32, m.scale)
	switch {
	case idle:
	case m.narrow:
		return []operand{judged(v), judged(scale)}
	default:
		v.want = m.after
	}
	return []operand{v, scale}
}

// on is the moment on a device, nothing where the case has none.
func (m *memories) on(c *call) device.Moment {
	return device.Moment{V: c.m(m.name), Scale: c.t(m.name + " scale")}
}

// check judges a narrow moment: scales are the blocks' largest magnitudes, and
// codes the nearest there are, or as good as.
func (m *memories) check(after results, limit float64) (float64, error) {
	if !m.narrow {
		return 0, nil
	}
	most := 0.0
	code := device.DynamicCode(m.signed)
	for b, s := range after.numbers(m.name+" scale", device.F32) {
		first := b * device.MomentBlock
		block := m.after[first:min(first+device.MomentBlock, len(m.after))]
		top := 0.0
		for _, x := range block {
			top = max(top, math.Abs(x))
		}
		worst, _ := apart(device.F32, []float64{s}, []float64{top})
		if most = max(most, worst); !(worst <= limit) {
			return worst, fmt.Errorf("%s: scale %d is %g, want %g", m.name, b, s, top)
		}
		for i, x := range block {
			c := after[m.name][first+i]
			off, least := math.Abs(float64(code.Value[c])*top-x), math.Inf(1)
			near := int(code.Code(float32(x / max(top, 1e-300))))
			for other := max(0, near-2); other <= min(255, near+2); other++ {
				least = min(least, math.Abs(float64(code.Value[other])*top-x))
			}
			if off > least {
				most = max(most, (off-least)/top)
			}
			if !(off <= least+limit*top) {
				return (off - least) / top, fmt.Errorf("%s[%d] is %g and became code %d, off by %g where %g is possible", m.name, first+i, x, c, off, least)
			}
		}
	}
	return most, nil
}
