package device

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

// Alignment is what Alloc promises, in bytes; operands begin at a multiple of
// OperandAlignment.
const (
	Alignment        = 256
	OperandAlignment = 16
)

// Mem is a run of bytes in a device's memory. Host devices use Host, others
// Addr; only the device that allocated it may touch what it refers to.
type Mem struct {
	Host []byte
	Addr uint64 // device address of the first byte
	N    int    // bytes
}

// HostMem is memory of the host, outside of the Go heap, for a device whose
// Info says InPlace.
func HostMem(b []byte) Mem { return Mem{Host: b, N: len(b)} }

// Empty reports whether m refers to nothing.
func (m Mem) Empty() bool { return m.N == 0 }

// Same reports whether m and o begin at the same byte.
func (m Mem) Same(o Mem) bool {
	return m.Addr == o.Addr && unsafe.SliceData(m.Host) == unsafe.SliceData(o.Host)
}

// Slice is bytes i up to j of m, sharing its storage.
func (m Mem) Slice(i, j int) Mem {
	if i < 0 || j < i || j > m.N {
		panic(fmt.Sprintf("device: bytes %d to %d of %d", i, j, m.N))
	}
	s := Mem{N: j - i}
	if m.Host != nil {
		s.Host = m.Host[i:j:j]
	}
	if m.Addr != 0 {
		s.Addr = m.Addr + uint64(i)
	}
	return s
}

// begin is the address of the first byte, wherever it lies.
func (m Mem) begin() uint64 {
	return m.Addr | uint64(uintptr(unsafe.Pointer(unsafe.SliceData(m.Host))))
}

// A Tensor is a run of N numbers in a device's memory, F32 or BF16.
type Tensor struct {
	Format Format
	Mem    Mem // N times [Format.Size] bytes
	N      int // numbers
}

// NewTensor allocates n zeros.
func NewTensor(d Device, f Format, n int) (Tensor, error) {
	mem, err := d.Alloc(n * f.Size())
	if err != nil {
		return Tensor{}, err
	}
	return mem.Tensor(f, n), nil
}

// Tensor is the first n numbers of m.
func (m Mem) Tensor(f Format, n int) Tensor { return Tensor{f, m.Slice(0, n*f.Size()), n} }

// Len is the number of numbers.
func (t Tensor) Len() int { return t.N }

// Empty reports whether t refers to nothing.
func (t Tensor) Empty() bool { return t.N == 0 }

// Same reports whether t and o begin at the same byte.
func (t Tensor) Same(o Tensor) bool { return t.Mem.Same(o.Mem) }

// Slice is numbers i up to j of t, sharing its storage.
func (t Tensor) Slice(i, j int) Tensor {
	size := t.Format.Size()
	return Tensor{t.Format, t.Mem.Slice(i*size, j*size), j - i}
}

// Floats are the numbers of an F32 tensor in the host's memory, shared.
func (t Tensor) Floats() []float32 {
	if t.Format != F32 {
		panic("device: floats of a tensor in " + t.Format.String())
	}
	return view[float32](t.Mem.Host)
}

// Halves are the numbers of a BF16 tensor in the host's memory, shared.
func (t Tensor) Halves() []uint16 {
	if t.Format != BF16 {
		panic("device: halves of a tensor in " + t.Format.String())
	}
	return view[uint16](t.Mem.Host)
}

// Ints is a run of 32-bit integers in a device's memory.
type Ints struct {
	Mem Mem // 4·N bytes
	N   int
}

// NewInts allocates n zeros.
func NewInts(d Device, n int) (Ints, error) {
	mem, err := d.Alloc(4 * n)
	if err != nil {
		return Ints{}, err
	}
	return mem.Ints(n), nil
}

// Ints are the first n integers of m.
func (m Mem) Ints(n int) Ints { return Ints{m.Slice(0, 4*n), n} }

// Empty reports whether x refers to nothing.
func (x Ints) Empty() bool { return x.N == 0 }

// Slice is integers i up to j, sharing their storage.
func (x Ints) Slice(i, j int) Ints { return Ints{x.Mem.Slice(4*i, 4*j), j - i} }

// Host are the integers in the host's memory, shared.
func (x Ints) Host() []int32 { return view[int32](x.Mem.Host) }

// view is b as numbers that share its storage.
func view[T float32 | uint16 | int32](b []byte) []T {
	var one T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(one)))
}

// Raw is x as bytes that share its storage, for Upload and Download.
func Raw[T float32 | uint16 | int32 | uint32](x []T) []byte {
	var one T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), len(x)*int(unsafe.Sizeof(one)))
}

// AsFloats is b, little-endian, as floats that share its storage. ok is false
// where that cannot be: b is no whole number of them or is not aligned, or this
// host has the other byte order.
func AsFloats(b []byte) (floats []float32, ok bool) {
	p := unsafe.Pointer(unsafe.SliceData(b))
	if len(b)%4 != 0 || uintptr(p)%4 != 0 || binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil, false
	}
	return view[float32](b), true
}

// An Arena hands out parts of one allocation, each aligned as Alloc aligns.
type Arena struct {
	mem  Mem
	used int
}

// NewArena hands out parts of mem.
func NewArena(mem Mem) *Arena { return &Arena{mem: mem} }

// ArenaBytes is what n bytes take of an arena.
func ArenaBytes(n int) int { return (n + Alignment - 1) / Alignment * Alignment }

// Tensor takes n numbers. Asking for more than there is panics: an arena is made
// to measure.
func (a *Arena) Tensor(f Format, n int) Tensor { return a.take(n*f.Size()).Tensor(f, n) }

// Ints takes n integers.
func (a *Arena) Ints(n int) Ints { return a.take(4 * n).Ints(n) }

func (a *Arena) take(n int) Mem {
	m := a.mem.Slice(a.used, a.used+n)
	a.used = min(a.used+ArenaBytes(n), a.mem.N)
	return m
}
