package device

import (
	"math"
	"slices"
	"sync"
)

// MomentBlock is how many values of an 8-bit moment share a scale.
const MomentBlock = 256

// A Moment is what an optimizer remembers of every one of a parameter's N values,
// such as a running mean of its gradients.
//
// In 8 bits (Dettmers et al. 2022, https://arxiv.org/abs/2110.02861) a value is a
// code of [Dynamic] times the largest magnitude of its block. An operator widens
// a block, updates it in full precision and narrows it again; the parameter's
// update is computed from the values before they are narrowed.
type Moment struct {
	V     Mem    // [N] floats; of 8 bits [N] bytes
	Scale Tensor // [⌈N/MomentBlock⌉] of 8 bits, else empty
}

// Narrow reports whether the moment is one of 8 bits.
func (m Moment) Narrow() bool { return !m.Scale.Empty() }

// Slice is values i up to j; of 8 bits both are multiples of MomentBlock, or j is
// the end.
func (m Moment) Slice(i, j int) Moment {
	if !m.Narrow() {
		return Moment{V: m.V.Slice(4*i, 4*j)}
	}
	return Moment{m.V.Slice(i, j), m.Scale.Slice(i/MomentBlock, (j+MomentBlock-1)/MomentBlock)}
}

// MomentBytes are the sizes of a moment of n values.
func MomentBytes(n int, narrow bool) (v, scale int) {
	if !narrow {
		return 4 * n, 0
	}
	return n, 4 * ((n + MomentBlock - 1) / MomentBlock)
}

// Dynamic is an 8-bit code whose relative precision is best near 1 and that
// still tells values of a millionth apart: the dynamic tree data type of
// https://arxiv.org/abs/1511.04561 in the form of the paper above.
type Dynamic struct {
	Value [256]float32 // of each code, ascending within [−1, 1]
	// Above are the largest numbers that are still rounded down to each code:
	// the mean of the code's value and the next one's.
	Above [256]float32
}

// DynamicCode returns the code of values of both signs, or that of values that
// are never negative, which has twice as many for them.
//
// Decade i of 7, from 10^(i−6)/10 to 10^(i−6), is cut into 2^i equal parts
// (unsigned: 2^(i+1)), and their middles are values; so are 0 and 1.
func DynamicCode(signed bool) *Dynamic {
	if signed {
		return signedCode()
	}
	return unsignedCode()
}

var (
	signedCode   = sync.OnceValue(func() *Dynamic { return newDynamic(true) })
	unsignedCode = sync.OnceValue(func() *Dynamic { return newDynamic(false) })
)

func newDynamic(signed bool) *Dynamic {
	values := []float64{0, 1}
	for i := range 7 {
		parts := 1 << i
		if !signed {
			parts *= 2
		}
		for k := range parts {
			middle := math.Pow(10, float64(i-6)) * (0.1 + 0.9*(float64(k)+0.5)/float64(parts))
			values = append(values, middle)
			if signed {
				values = append(values, -middle)
			}
		}
	}
	slices.Sort(values)
	d := &Dynamic{}
	for i, v := range values {
		d.Value[i] = float32(v)
	}
	for i := range 255 {
		d.Above[i] = float32((float64(d.Value[i]) + float64(d.Value[i+1])) / 2)
	}
	d.Above[255] = float32(math.Inf(1))
	return d
}

// Code is the code whose value is nearest to x, the lower one of two.
func (d *Dynamic) Code(x float32) uint8 {
	i, _ := slices.BinarySearch(d.Above[:255], x)
	return uint8(i)
}
