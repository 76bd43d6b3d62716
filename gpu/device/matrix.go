package device

import (
	"fmt"
	"math"
)

// A Matrix is a weight [O,I] as it is stored. Formats other than F32 are
// widened where they are used and never as a whole: every operator computes with
// the numbers that [Format.Decode] makes. Weights in F32 and BF16 can be trained
// (see [Weights]); through the others gradients flow, but none is computed for
// them.
type Matrix struct {
	Format Format
	Data   Mem    // [O,Format.Row(I)] bytes
	Scales Tensor // [O,Format.Scales(I)] in F32, with Int8, Int4 and NF4
}

// Dense is the matrix of the numbers t.
func Dense(t Tensor) Matrix { return Matrix{Format: t.Format, Data: t.Mem} }

// Empty reports whether the matrix refers to nothing.
func (w Matrix) Empty() bool { return w.Data.N == 0 }

// Rows is how many rows of i numbers w has.
func (w Matrix) Rows(i int) int { return w.Data.N / w.Format.Row(i) }

// trains reports whether a matrix of the format can have a gradient.
func (f Format) trains() bool { return f == F32 || f == BF16 }

// misfit says what is wrong with w as an [O,I] matrix, "" for nothing.
func (w Matrix) misfit(o, i int) string {
	if w.Format > NF4 {
		return fmt.Sprintf("has format %d, which there is not", w.Format)
	}
	if data, scales := o*w.Format.Row(i), o*w.Format.Scales(i); w.Data.N != data || w.Scales.N != scales {
		return fmt.Sprintf("has %d bytes and %d scales, %v [%d,%d] has %d and %d", w.Data.N, w.Scales.N, w.Format, o, i, data, scales)
	}
	return ""
}

// Weights are what an optimizer updates: N numbers in float32, or in bfloat16
// with the rest of their bits beside them. A BF16 weight is the upper half of a
// float32 rounded to nearest, halves away from zero, and Low its lower 16 bits
// as they are, so that both together are the float32 exactly:
//
//	bits = W<<16 + signed(Low)    W = (bits + 0x8000)>>16    Low = bits & 0xFFFF
//
// Passes read W alone.
type Weights struct {
	W   Tensor // F32 or BF16
	Low Mem    // [N] 16-bit, with BF16
}

// Slice is weights i up to j.
func (w Weights) Slice(i, j int) Weights {
	s := Weights{W: w.W.Slice(i, j)}
	if w.W.Format == BF16 {
		s.Low = w.Low.Slice(2*i, 2*j)
	}
	return s
}

// Split takes the bits of a float32 apart as [Weights] says.
func Split(bits uint32) (high, low uint16) { return uint16((bits + 0x8000) >> 16), uint16(bits) }

// Join puts the bits of a float32 together again.
func Join(high, low uint16) uint32 { return uint32(high)<<16 + uint32(int32(int16(low))) }

// Read copies the numbers to the host, those in bfloat16 with what Low has of
// them, and waits for them.
func (w Weights) Read(d Device, dst []float32) error {
	if w.W.Format == F32 {
		d.Download(Raw(dst), w.W.Mem)
		return d.Sync()
	}
	high, low := make([]uint16, len(dst)), make([]uint16, len(dst))
	d.Download(Raw(high), w.W.Mem)
	if !w.Low.Empty() {
		d.Download(Raw(low), w.Low)
	}
	if err := d.Sync(); err != nil {
		return err
	}
	for i := range dst {
		dst[i] = math.Float32frombits(Join(high[i], low[i]))
	}
	return nil
}

// Write is the other direction.
func (w Weights) Write(d Device, src []float32) error {
	if w.W.Format == F32 {
		d.Upload(w.W.Mem, Raw(src))
		return d.Sync()
	}
	high, low := make([]uint16, len(src)), make([]uint16, len(src))
	for i, v := range src {
		high[i], low[i] = Split(math.Float32bits(v))
	}
	d.Upload(w.W.Mem, Raw(high))
	if !w.Low.Empty() {
		d.Upload(w.Low, Raw(low))
	}
	return d.Sync()
}
