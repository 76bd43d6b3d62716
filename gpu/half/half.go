package half

import "math"

// F16 widens an IEEE 754 binary16 number.
func F16(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10)&0x1F, uint32(h)&0x3FF
	switch {
	case exponent == 0x1F: // infinity, not a number
		return math.Float32frombits(sign | 0x7F800000 | fraction<<13)
	case exponent != 0:
		return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
	default: // zero and subnormal numbers: fraction · 2⁻²⁴
		v := float32(fraction) * 0x1p-24
		return math.Float32frombits(sign | math.Float32bits(v))
	}
}

// ToF16 rounds to binary16. What is too large becomes infinite; not-a-number
// stays one.
func ToF16(x float32) uint16 {
	b := math.Float32bits(x)
	sign, b := uint16(b>>16)&0x8000, b&0x7FFFFFFF
	switch {
	case b > 0x7F800000:
		return sign | 0x7E00
	case b >= 0x477FF000: // rounds to 65536 or more
		return sign | 0x7C00
	case b < 0x38800000: // below the smallest normal number: the nearest multiple of 2⁻²⁴
		// Adding 1/2 leaves 24 bits of fraction, the last of them 2⁻²⁴.
		v := math.Float32frombits(b) + 0.5
		return sign | uint16(math.Float32bits(v)-0x3F000000)
	}
	b += 0xFFF + b>>13&1 // half of what is cut off, ties to even
	return sign | uint16((b-112<<23)>>13)
}

// BF16 widens a bfloat16 number: the upper half of a float32.
func BF16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// ToBF16 rounds to bfloat16. Not-a-number stays one.
func ToBF16(x float32) uint16 {
	b := math.Float32bits(x)
	if b&0x7FFFFFFF > 0x7F800000 {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7FFF + b>>16&1) >> 16)
}
