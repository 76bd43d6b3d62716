//go:build cgo && unix

package cpu

// #include "kernels.h"
import "C"

import (
	"fmt"
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

type rotaryKey struct {
	base  float64
	width int
}

// table returns cos and sin for positions 0…last or more: [position][P/2][2].
// Computing them costs as much as a small operator, so they are kept; in Go, so
// that no C library's cosine becomes part of the results.
func (d *Device) table(s device.Heads, last int) (device.Mem, error) {
	key := rotaryKey{s.Base, s.Rotary}
	old := d.rotary[key]
	if old.N >= (last+1)*s.Rotary {
		return old, nil
	}
	const step = 1024
	positions := (last + step) / step * step
	grown, err := d.Alloc(positions * s.Rotary)
	if err != nil {
		return old, err
	}
	copy(grown.Host, old.Host)
	frequencies := s.Frequencies()
	for p := old.N / s.Rotary; p < positions; p++ {
		for i, f := range frequencies {
			sin, cos := math.Sincos(float64(float32(p) * f))
			grown.Host[p*s.Rotary+2*i], grown.Host[p*s.Rotary+2*i+1] = float32(cos), float32(sin)
		}
	}
	d.Free(old)
	d.rotary[key] = grown
	return grown, nil
}

// shape checks s and returns its C form.
func shape(operator string, s device.Heads) C.heads {
	if s.G < 1 || s.A%s.G != 0 || s.Rotary%2 != 0 || s.Rotary > s.D {
		panic(fmt.Sprintf("cpu: %s: heads %+v: want whole groups and an even rotary width of at most D", operator, s))
	}
	return C.heads{a: C.long(s.A), g: C.long(s.G), d: C.long(s.D), rotary: C.long(s.Rotary)}
}

// Rotary rotates queries and keys in place.
func (d *Device) Rotary(qkv device.Mem, pos []int32, s device.Heads, inverse bool) {
	want("Rotary", "qkv", qkv.N, len(pos)*s.Width())
	last := 0
	for m, p := range pos {
		if p < 0 {
			panic(fmt.Sprintf("cpu: Rotary: position %d of row %d is negative", p, m))
		}
		last = max(last, int(p))
	}
	if s.Rotary == 0 || len(pos) == 0 {
		return
	}
	heads := shape("Rotary", s)
	table, err := d.table(s, last)
	if err != nil {
		d.c.fault = 1
		return
	}
	var back C.int
	if inverse {
		back = 1
	}
	C.cpu_rotary(d.c, p(qkv), ints(pos), C.long(len(pos)), p(table), heads, back)
}

// rows checks that starts ascend from 0 and returns the last of them.
func rows(operator string, starts []int32) int {
	if len(starts) == 0 || starts[0] != 0 {
		panic(fmt.Sprintf("cpu: %s: starts %v must begin with 0", operator, starts))
	}
	for i, s := range starts[1:] {
		if s < starts[i] {
			panic(fmt.Sprintf("cpu: %s: starts %v must ascend", operator, starts))
		}
	}
	return int(starts[len(starts)-1])
}

// before checks a prefix, which may be nil, and returns its C form.
func before(operator string, x *device.Prefix, s device.Heads) C.prefix {
	if x == nil {
		return C.prefix{}
	}
	if !x.Fits(s) {
		panic(fmt.Sprintf("cpu: %s: a prefix of %d positions, %d apart, with %d keys and %d values: want %d groups of %d", operator, x.N, x.Stride, x.K.N, x.V.N, s.G, s.D))
	}
	return C.prefix{k: p(x.K), v: p(x.V), n: C.long(x.N), stride: C.long(x.Stride)}
}

// Attention is causal attention inside each sequence, after the prefix.
func (d *Device) Attention(o, lse, qkv device.Mem, starts []int32, s device.Heads, x *device.Prefix) {
	n := rows("Attention", starts)
	want("Attention", "qkv", qkv.N, n*s.Width())
	want("Attention", "o", o.N, n*s.A*s.D)
	want("Attention", "lse", lse.N, n*s.A)
	if heads, prefix := shape("Attention", s), before("Attention", x, s); n > 0 {
		C.cpu_attention(d.c, p(o), p(lse), p(qkv), ints(starts), C.long(len(starts)-1), heads, prefix)
	}
}

// AttentionBackward recomputes the probabilities from lse.
func (d *Device) AttentionBackward(dqkv, do, o, lse, qkv device.Mem, starts []int32, s device.Heads, x, dx *device.Prefix) {
	n := rows("AttentionBackward", starts)
	if !dqkv.Empty() {
		want("AttentionBackward", "dqkv", dqkv.N, n*s.Width())
	}
	want("AttentionBackward", "do", do.N, n*s.A*s.D)
	want("AttentionBackward", "o", o.N, n*s.A*s.D)
	want("AttentionBackward", "lse", lse.N, n*s.A)
	want("AttentionBackward", "qkv", qkv.N, n*s.Width())
	heads, prefix, grad := shape("AttentionBackward", s), before("AttentionBackward", x, s), before("AttentionBackward", dx, s)
	if dx != nil && grad.n != prefix.n {
		panic(fmt.Sprintf("cpu: AttentionBackward: a prefix of %d positions, its gradient of %d", prefix.n, grad.n))
	}
	if n > 0 {
		C.cpu_attention_backward(d.c, p(dqkv), p(do), p(o), p(lse), p(qkv), ints(starts), C.long(len(starts)-1), heads, prefix, grad)
	}
}

// AttentionCached appends to the cache and attends over it.
func (d *Device) AttentionCached(o, qkv device.Mem, cache device.Cache, slots, past, starts []int32, s device.Heads, x *device.Prefix) {
	n := rows("AttentionCached", starts)
	want("AttentionCached", "qkv", qkv.N, n*s.Width())
	want("AttentionCached", "o", o.N, n*s.A*s.D)
	want("AttentionCached", "V", cache.V.N, cache.K.N)
	if len(slots) != len(starts)-1 || len(past) != len(slots) {
		panic(fmt.Sprintf("cpu: AttentionCached: %d slots, %d pasts, %d starts do not belong together", len(slots), len(past), len(starts)))
	}
	for i, slot := range slots {
		fresh := starts[i+1] - starts[i]
		if slot < 0 || past[i] < 0 || (int(slot)+1)*cache.Max*s.G*s.D > cache.K.N || int(past[i]+fresh) > cache.Max {
			panic(fmt.Sprintf("cpu: AttentionCached: slot %d with %d+%d positions is outside the cache", slot, past[i], fresh))
		}
	}
	if heads, prefix := shape("AttentionCached", s), before("AttentionCached", x, s); n > 0 {
		C.cpu_attention_cached(d.c, p(o), p(qkv), p(cache.K), p(cache.V), C.long(cache.Max),
			ints(slots), ints(past), ints(starts), C.long(len(slots)), heads, prefix)
	}
}
