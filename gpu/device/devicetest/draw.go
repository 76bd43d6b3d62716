package devicetest

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"github.com/glmflow/glmflow/gpu/device"
)

// random is a source that depends on the case's name only.
func random(name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(h.Sum64(), 1))
}

// draw is n normal numbers times scale, such that the format has them.
func draw(r *rand.Rand, f device.Format, n int, scale float64) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = rounded(f, scale*r.NormFloat64())
	}
	return x
}

// rounded is the number of the format, F32 or BF16, that is nearest to x.
func rounded(f device.Format, x float64) float64 {
	if f == device.F32 {
		return float64(float32(x))
	}
	m, e := math.Frexp(x)
	return math.Ldexp(math.RoundToEven(m*256)/256, e)
}

// stored is x as a tensor of the format has it.
func stored(f device.Format, x []float64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = rounded(f, v)
	}
	return y
}

// encode is x in the bytes of F32 or BF16.
func encode(f device.Format, x []float64) []byte {
	b := make([]byte, 0, len(x)*f.Size())
	for _, v := range x {
		bits := math.Float32bits(float32(rounded(f, v)))
		if f == device.BF16 {
			b = binary.LittleEndian.AppendUint16(b, uint16(bits>>16))
		} else {
			b = binary.LittleEndian.AppendUint32(b, bits)
		}
	}
	return b
}

// decode is the other direction, of F16, too.
func decode(f device.Format, b []byte) []float64 {
	x := make([]float64, len(b)/f.Size())
	for i := range x {
		switch f {
		case device.F32:
			x[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
		case device.BF16:
			x[i] = float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16))
		case device.F16:
			x[i] = binary16(binary.LittleEndian.Uint16(b[2*i:]))
		default:
			panic(fmt.Sprintf("devicetest: a result in %v", f))
		}
	}
	return x
}

func intBytes(x []int32) []byte {
	b := make([]byte, 0, 4*len(x))
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	return b
}

func toInts(b []byte) []int32 {
	x := make([]int32, len(b)/4)
	for i := range x {
		x[i] = int32(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return x
}

// poisonHalf repeated is a NaN in F32 and in BF16 that no arithmetic makes.
const poisonHalf = 0x7FC1

// poison fills b, which begins at byte at of what is poisoned.
func poison(b []byte, at int) {
	for i := range b {
		b[i] = poisonByte(at + i)
	}
}

func poisonByte(i int) byte {
	if i%2 == 0 {
		return poisonHalf & 0xFF
	}
	return poisonHalf >> 8
}

// unpoisoned is where bytes from ≤ i < to of b are not poison first, −1 for
// nowhere.
func unpoisoned(b []byte, from, to int) int {
	for i := from; i < to; i++ {
		if b[i] != poisonByte(i) {
			return i
		}
	}
	return -1
}

// activations are the formats of activations and of the residual stream.
var activations = []device.Format{device.F32, device.BF16}

// plus is x + y.
func plus(x, y []float64) []float64 {
	z := make([]float64, len(x))
	for i := range x {
		z[i] = x[i] + y[i]
	}
	return z
}

func scaled(x []float64, a float64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = a * v
	}
	return y
}
