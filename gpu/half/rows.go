package half

import (
	"encoding/binary"
	"math"
)

// Rows of numbers as they lie in files and in devices' memory, little-endian.
// dst or src says how many there are.

// DecodeBF16 widens a row of bfloat16 numbers.
func DecodeBF16(dst []float32, row []byte) {
	for i := range dst {
		dst[i] = BF16(binary.LittleEndian.Uint16(row[2*i:]))
	}
}

// DecodeF16 widens a row of binary16 numbers.
func DecodeF16(dst []float32, row []byte) {
	for i := range dst {
		dst[i] = F16(binary.LittleEndian.Uint16(row[2*i:]))
	}
}

// DecodeF32 reads a row of float32 numbers.
func DecodeF32(dst []float32, row []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(row[4*i:]))
	}
}

// EncodeBF16 rounds a row to bfloat16.
func EncodeBF16(row []byte, src []float32) {
	for i, v := range src {
		binary.LittleEndian.PutUint16(row[2*i:], ToBF16(v))
	}
}

// EncodeF16 rounds a row to binary16.
func EncodeF16(row []byte, src []float32) {
	for i, v := range src {
		binary.LittleEndian.PutUint16(row[2*i:], ToF16(v))
	}
}

// EncodeF32 writes a row as it is.
func EncodeF32(row []byte, src []float32) {
	for i, v := range src {
		binary.LittleEndian.PutUint32(row[4*i:], math.Float32bits(v))
	}
}
