package device

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

// A Matrix is a weight [O,I] as it is stored: as floats, or in a narrow format
// that is widened where it is used and never as a whole. Narrow weights are
// frozen: gradients flow through them, but none is computed for them.
type Matrix struct {
	Format Format
	Floats Mem   // [O,I], with F32
	Raw    Bytes // [O,Format.Row(I)], with the other formats
	Scales Mem   // [O,Format.Scales(I)], with Int8, Int4 and NF4
}

// Dense is the matrix of floats m.
func Dense(m Mem) Matrix { return Matrix{Floats: m} }

// Empty reports whether the matrix refers to nothing.
func (w Matrix) Empty() bool { return w.Floats.Empty() && w.Raw.N == 0 }

// Rows is how many rows of i numbers w has.
func (w Matrix) Rows(i int) int {
	if w.Format == F32 {
		return w.Floats.N / i
	}
	return w.Raw.N / w.Format.Row(i)
}

// Fit panics unless w has the sizes of an [O,I] matrix: wrong sizes are a
// defect in the caller.
func (w Matrix) Fit(operator, argument string, o, i int) {
	raw, floats, scales := o*w.Format.Row(i), 0, o*w.Format.Scales(i)
	if w.Format == F32 {
		raw, floats = 0, o*i
	}
	if w.Format > NF4 || w.Raw.N != raw || w.Floats.N != floats || w.Scales.N != scales {
		panic(fmt.Sprintf("device: %s: %s has %d floats, %d bytes and %d scales, a %v matrix [%d,%d] has %d, %d and %d",
			operator, argument, w.Floats.N, w.Raw.N, w.Scales.N, w.Format, o, i, floats, raw, scales))
	}
}

// Frozen panics when a gradient is asked for of a narrow matrix: that is a
// defect in the caller.
func (w Matrix) Frozen(operator string, gradient Mem) {
	if w.Format != F32 && !gradient.Empty() {
		panic(fmt.Sprintf("device: %s: a gradient is asked for of weights in %v, which are frozen", operator, w.Format))
	}
}

// Bytes is a run of bytes in a device's memory, as Mem is one of floats. Host
// need not be aligned.
type Bytes struct {
	Host []byte
	Addr uint64 // device address of the first byte
	N    int    // bytes
}

// HostBytes is memory of the host, outside of the Go heap, for a device whose
// Info says InPlace.
func HostBytes(b []byte) Bytes { return Bytes{Host: b, N: len(b)} }

// Bytes is the first n bytes of m, sharing its storage: this is how bytes are
// allocated, and how the floats of an Upload are filled with them.
func (m Mem) Bytes(n int) Bytes {
	if n < 0 || n > 4*m.N {
		panic("device: bytes out of range")
	}
	b := Bytes{Addr: m.Addr, N: n}
	if m.Host != nil {
		b.Host = unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(m.Host))), n)
	}
	return b
}

// AsFloats is b, little-endian, as floats that share its storage. ok is false
// where that cannot be: b is no whole number of them or is not aligned, or this
// host has the other byte order.
func AsFloats(b []byte) (floats []float32, ok bool) {
	p := unsafe.Pointer(unsafe.SliceData(b))
	if len(b)%4 != 0 || uintptr(p)%4 != 0 || binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil, false
	}
	return unsafe.Slice((*float32)(p), len(b)/4), true
}

// Slice is bytes i up to j of b, sharing its storage.
func (b Bytes) Slice(i, j int) Bytes {
	if i < 0 || j < i || j > b.N {
		panic("device: slice of bytes out of range")
	}
	s := Bytes{N: j - i}
	if b.Host != nil {
		s.Host = b.Host[i:j:j]
	}
	if b.Addr != 0 {
		s.Addr = b.Addr + uint64(i)
	}
	return s
}
