package devicetest

import (
	"encoding/binary"
	"math"
	"math/rand/v2"

	"github.com/glmflow/glmflow/gpu/device"
)

// formats are those a weight may be stored in.
var formats = []device.Format{device.F32, device.BF16, device.F16, device.Int8, device.Int4, device.NF4}

// A weight is an [O,I] matrix as it is stored, and the numbers that this means.
type weight struct {
	format device.Format
	o, i   int
	stored []byte
	scales []float32
	values []float64
}

// newWeight draws the stored bytes themselves, so that every code occurs.
func newWeight(r *rand.Rand, f device.Format, o, i int) *weight {
	w := &weight{format: f, o: o, i: i, values: make([]float64, 0, o*i)}
	for range o {
		var row []float64
		switch f {
		case device.F32:
			for range i {
				v := float32(r.NormFloat64())
				w.stored = binary.LittleEndian.AppendUint32(w.stored, math.Float32bits(v))
				row = append(row, float64(v))
			}
		case device.BF16:
			for range i {
				h := uint16(math.Float32bits(float32(r.NormFloat64())) >> 16)
				w.stored = binary.LittleEndian.AppendUint16(w.stored, h)
				row = append(row, float64(math.Float32frombits(uint32(h)<<16)))
			}
		case device.F16:
			for range i {
				h := uint16(r.Uint32()) & 0xC3FF // subnormal numbers, and those from 1/2 to 1
				if r.Uint32()&1 == 0 {
					h = h&0x83FF | 0x3800
				}
				w.stored = binary.LittleEndian.AppendUint16(w.stored, h)
				row = append(row, binary16(h))
			}
		case device.Int8:
			s := w.scale(r, 127)
			for range i {
				q := int8(r.Uint32())
				w.stored = append(w.stored, byte(q))
				row = append(row, float64(q)*s)
			}
		case device.Int4:
			s := w.scale(r, 7)
			row = w.halves(r, func(_ int, q byte) float64 {
				if q > 7 {
					return (float64(q) - 16) * s
				}
				return float64(q) * s
			})
		case device.NF4:
			values, s := device.NF4Values(), 0.0
			row = w.halves(r, func(j int, q byte) float64 {
				if j%64 == 0 {
					s = w.scale(r, 1)
				}
				return float64(values[q]) * s
			})
		}
		w.values = append(w.values, row...)
	}
	return w
}

// scale draws the next scale, for numbers below about 1.
func (w *weight) scale(r *rand.Rand, most float64) float64 {
	s := float32((0.01 + r.Float64()) / most)
	w.scales = append(w.scales, s)
	return float64(s)
}

// halves draws a row of half bytes. In a row of odd length the last half byte
// is of no meaning.
func (w *weight) halves(r *rand.Rand, value func(j int, q byte) float64) []float64 {
	var row []float64
	for j := range w.i {
		q := byte(r.Uint32() & 15)
		row = append(row, value(j, q))
		if j%2 == 0 {
			w.stored = append(w.stored, q<<4|byte(r.Uint32()&15))
		} else {
			w.stored[len(w.stored)-1] = w.stored[len(w.stored)-1]&0xF0 | q
		}
	}
	return row
}

// binary16 is the number with these bits, by the book.
func binary16(h uint16) float64 {
	sign, exponent, fraction := 1.0, int(h>>10&31), float64(h&0x3FF)/1024
	if h>>15 == 1 {
		sign = -1
	}
	if exponent == 0 {
		return sign * fraction * 0x1p-14
	}
	return sign * (1 + fraction) * math.Pow(2, float64(exponent-15))
}

// operands are the stored bytes, and the scales. In a file that is mapped,
// nothing is aligned but floats to their own size.
func (w *weight) operands(name string) []operand {
	data := inBytes(name, w.stored)
	data.format, data.lead = w.format, 3
	if w.format == device.F32 {
		data.lead = 4
	}
	return []operand{data, in(name+" scales", device.F32, wideFloats(w.scales))}
}

// matrix is the weight in the memory of its operands.
func (w *weight) matrix(c *call, name string) device.Matrix {
	return device.Matrix{Format: w.format, Data: c.m(name), Scales: c.t(name + " scales")}
}

// exact reports whether bfloat16 has all of the format's numbers, so that they
// are exact where operands of products are rounded to it.
func (w *weight) exact() bool { return w.format == device.BF16 }

func wideFloats(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}
