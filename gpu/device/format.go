package device

import (
	"math"

	"github.com/glmflow/glmflow/gpu/half"
)

// A Format is how the numbers of a [Matrix] are stored. Every row begins at a
// byte of its own; numbers of more than one byte are little-endian, two numbers
// in one byte have the first in its upper half.
type Format uint8

const (
	F32  Format = iota
	BF16        // bfloat16
	F16         // IEEE 754 binary16
	// Int8 and Int4 are the original code's quantisation: a number is q·s with
	// one scale s a row and q in −127…127 or −7…7, two's complement.
	Int8
	Int4
	// NF4 is the 4-bit format of QLoRA (Dettmers et al. 2023,
	// https://arxiv.org/abs/2305.14314): a number is c[q]·s with one scale for
	// each 64 numbers of a row and c the quantiles of a normal distribution.
	NF4
)

// nf4Block is how many numbers share a scale in NF4. A row's last block may be
// shorter.
const nf4Block = 64

func (f Format) String() string {
	switch f {
	case F32:
		return "fp32"
	case BF16:
		return "bf16"
	case F16:
		return "fp16"
	case Int8:
		return "int8"
	case Int4:
		return "int4"
	case NF4:
		return "nf4"
	}
	return "unknown"
}

// Row is how many bytes a row of n numbers takes.
func (f Format) Row(n int) int {
	switch f {
	case F32:
		return 4 * n
	case BF16, F16:
		return 2 * n
	case Int8:
		return n
	}
	return (n + 1) / 2
}

// Size is how many bytes a number takes, of F32, BF16 and F16.
func (f Format) Size() int { return f.Row(1) }

// Scales is how many scales a row of n numbers has.
func (f Format) Scales(n int) int {
	switch f {
	case Int8, Int4:
		return 1
	case NF4:
		return (n + nf4Block - 1) / nf4Block
	}
	return 0
}

// Quantised reports whether encoding loses more than the digits of a half.
func (f Format) Quantised() bool { return f >= Int8 }

// NF4Values are the 16 numbers of NF4, as the paper's appendix E lists them.
func NF4Values() [16]float32 {
	return [16]float32{
		-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
		-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
		0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
		0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
	}
}

// Decode widens a row. What it makes is the meaning of the format: every
// device computes with these numbers.
func (f Format) Decode(dst []float32, row []byte, scales []float32) {
	switch f {
	case F32:
		half.DecodeF32(dst, row)
	case BF16:
		half.DecodeBF16(dst, row)
	case F16:
		half.DecodeF16(dst, row)
	case Int8:
		for i := range dst {
			dst[i] = float32(int8(row[i])) * scales[0]
		}
	case Int4:
		for i := range dst {
			dst[i] = float32(int8(nibble(row, i)<<4)>>4) * scales[0]
		}
	case NF4:
		values := NF4Values()
		for i := range dst {
			dst[i] = values[nibble(row, i)] * scales[i/nf4Block]
		}
	}
}

// nibble is the i-th half of the bytes of row, the upper half of each first.
func nibble(row []byte, i int) byte {
	if i%2 == 0 {
		return row[i/2] >> 4
	}
	return row[i/2] & 15
}

// Encode is the other direction: row and scales are assigned. Int8 and Int4
// round as the original code does in half precision: the scale is max|w|/127 or
// max|w|/7 as a binary16, w/s is rounded to binary16 and then to the nearest
// integer, ties to even each time. NF4 takes the nearest value, of two the
// smaller. Numbers that are not finite have no place in the quantised formats;
// what becomes of their row is not specified.
func (f Format) Encode(row []byte, scales, src []float32) {
	switch f {
	case F32:
		half.EncodeF32(row, src)
	case BF16:
		half.EncodeBF16(row, src)
	case F16:
		half.EncodeF16(row, src)
	case Int8:
		scales[0] = integerScale(src, 127)
		for i, v := range src {
			row[i] = byte(integer(v, scales[0], 127))
		}
	case Int4:
		scales[0] = integerScale(src, 7)
		clear(row[:f.Row(len(src))])
		for i, v := range src {
			row[i/2] |= byte(integer(v, scales[0], 7)) & 15 << (4 * (1 - i%2))
		}
	case NF4:
		clear(row[:f.Row(len(src))])
		middles := nf4Middles()
		for b := range scales {
			block := src[b*nf4Block : min(len(src), (b+1)*nf4Block)]
			scales[b] = largest(block)
			for j, v := range block {
				i := b*nf4Block + j
				row[i/2] |= nearestNF4(v, scales[b], &middles) << (4 * (1 - i%2))
			}
		}
	}
}

// largest is max|src|: not a number if one of them is not.
func largest(src []float32) float32 {
	top := uint32(0)
	for _, v := range src {
		top = max(top, math.Float32bits(v)&0x7FFFFFFF) // in the order of the numbers
	}
	return math.Float32frombits(top)
}

// integerScale is the binary16 nearest to max|w|/most.
func integerScale(src []float32, most float32) float32 {
	return half.F16(half.ToF16(largest(src) / most))
}

// integer is w/s as the original rounds it. Rows whose scale is zero are zero;
// where it has lost digits, the largest numbers are cut to ±most.
func integer(w, s, most float32) int8 {
	if s == 0 {
		return 0
	}
	// Eleven digits remain, as in a binary16. That its smallest numbers have
	// fewer does not matter: they are far below 1/2.
	b := math.Float32bits(w / s)
	x := math.Float32frombits((b + 0xFFF + b>>13&1) &^ 0x1FFF)
	const whole = 0x1.8p23 // adding it leaves no fraction
	return int8(max(-most, min(most, x+whole-whole)))
}

// nearestNF4 is the index of the value nearest to w/s; middles lie half-way
// between neighbours.
func nearestNF4(w, s float32, middles *[15]float32) byte {
	if s == 0 {
		return 7 // zero
	}
	x, at := w/s, 0
	for step := 8; step > 0; step /= 2 {
		if x > middles[at+step-1] {
			at += step
		}
	}
	return byte(at)
}

func nf4Middles() [15]float32 {
	var m [15]float32
	v := NF4Values()
	for i := range m {
		m[i] = (v[i] + v[i+1]) / 2
	}
	return m
}
