//go:build cgo && unix

package cpu

// #include "kernels.h"
import "C"

import "github.com/glmflow/glmflow/gpu/device"

// before is the C form of a prefix, which may be nil.
func before(x *device.Prefix, s device.Heads) C.prefix {
	if x == nil {
		return C.prefix{}
	}
	k, v := x.Table.Slice(x.K, x.Table.N), x.Table.Slice(x.V, x.Table.N)
	return C.prefix{k: f(k), v: f(v), n: C.long(x.N), stride: C.long(x.Stride)}
}

// Attention is causal attention inside each sequence, after the prefix.
func (d *Device) Attention(o, lse, qkv device.Tensor, p *device.Pass, s device.Heads, x *device.Prefix) {
	if p.M > 0 {
		C.cpu_attention(d.c, t(o), f(lse), t(qkv), &prepared(p).c, shape(s), before(x, s))
	}
}

// AttentionBackward recomputes the probabilities from lse.
func (d *Device) AttentionBackward(dqkv, do, o, lse, qkv device.Tensor, p *device.Pass, s device.Heads, x, dx *device.Prefix) {
	if p.M > 0 {
		C.cpu_attention_backward(d.c, t(dqkv), t(do), t(o), f(lse), t(qkv), &prepared(p).c, shape(s), before(x, s), before(dx, s))
	}
}

// AttentionCached appends to the cache and attends over it.
func (d *Device) AttentionCached(o, qkv device.Tensor, cache device.Cache, p *device.Pass, s device.Heads, x *device.Prefix) {
	if p.M > 0 {
		C.cpu_attention_cached(d.c, t(o), t(qkv), t(cache.K), t(cache.V), &prepared(p).c, shape(s), before(x, s))
	}
}
