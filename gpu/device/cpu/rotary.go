//go:build cgo && unix

package cpu

// #include "kernels.h"
import "C"

import (
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

type rotaryKey struct {
	base  float64
	width int
}

// tableBytes is what a table for at least n positions takes.
func tableBytes(s device.Heads, n int) int {
	const step = 1024
	return (n + step - 1) / step * step * 4 * s.Rotary
}

// table returns cos and sin for n positions or more: [position][P/2][2].
// Computing them costs as much as a small operator, so they are kept; in Go, so
// that no C library's cosine becomes part of the results.
func (d *Device) table(s device.Heads, n int) (device.Mem, error) {
	key := rotaryKey{s.Base, s.Rotary}
	old := d.rotary[key]
	line := 4 * s.Rotary
	if old.N >= n*line {
		return old, nil
	}
	grown, err := d.Alloc(tableBytes(s, n))
	if err != nil {
		return old, err
	}
	copy(grown.Host, old.Host)
	angles, frequencies := grown.Tensor(device.F32, grown.N/4).Floats(), s.Frequencies()
	for p := old.N / line; p < grown.N/line; p++ {
		for i, f := range frequencies {
			sin, cos := math.Sincos(float64(float32(p) * f))
			angles[p*s.Rotary+2*i], angles[p*s.Rotary+2*i+1] = float32(cos), float32(sin)
		}
	}
	d.Free(old)
	d.rotary[key] = grown
	return grown, nil
}

// Rotary rotates queries and keys in place.
func (d *Device) Rotary(qkv device.Tensor, p *device.Pass, s device.Heads, inverse bool) {
	if s.Rotary == 0 || p.M == 0 {
		return
	}
	table, err := d.table(s, p.Position+1)
	if err != nil {
		d.c.fault = 1
		return
	}
	back := C.int(0)
	if inverse {
		back = 1
	}
	C.cpu_rotary(d.c, t(qkv), &prepared(p).c, (*C.float)(start(table)), shape(s), back)
}

// shape is the C form of s.
func shape(s device.Heads) C.heads {
	return C.heads{a: C.long(s.A), g: C.long(s.G), d: C.long(s.D), rotary: C.long(s.Rotary)}
}
