//go:build cgo && unix

package cpu

// #include "kernels.h"
import "C"

import (
	"unsafe"

	"github.com/glmflow/glmflow/gpu/device"
)

// Workspace lets the operators of a pass rehearse: each says how much scratch
// memory it wants, and does no more.
func (d *Device) Workspace(b device.Bounds) int64 {
	bytes := mapped(tableBytes(b.Heads, longest(b)))
	for _, n := range d.rehearse(b) {
		bytes += mapped(int(n))
	}
	return bytes
}

// Reserve takes what Workspace counts.
func (d *Device) Reserve(b device.Bounds) error {
	for i, n := range d.rehearse(b) {
		if C.cpu_reserve(d.c, C.int(i), n) == 0 {
			return d.refusal(mapped(int(n)))
		}
	}
	if b.Heads.Rotary > 0 {
		if _, err := d.table(b.Heads, longest(b)); err != nil {
			return err
		}
	}
	return nil
}

// mapped is what n bytes take of the budget.
func mapped(n int) int64 { return int64(C.cpu_mapped(C.size_t(n))) }

// longest is how many positions a sequence has at most, with those in a cache.
func longest(b device.Bounds) int { return max(b.M, b.Pages*device.PagePositions) }

// rehearse calls the operators that need scratch memory, and returns how much they
// want, purpose by purpose: in their largest shapes, and in the largest of those
// for which products are computed in other ways.
func (d *Device) rehearse(b device.Bounds) []C.size_t {
	clear(d.c.wanted[:])
	d.c.rehearsing = 1
	defer func() { d.c.rehearsing = 0 }()
	for _, rows := range []int{b.M, C.BLOCK_ROWS, C.FEW_ROWS} {
		b.M, b.S, b.N = min(b.M, rows), min(b.S, rows), min(b.N, rows)
		r := rehearsal{d, b}
		h, s := b.Hidden, b.Heads
		for _, shape := range [][2]int{{h, s.Width()}, {s.A * s.D, h}, {h, 2 * b.FFN}, {b.FFN, h}} {
			r.linear(shape[0], shape[1])
		}
		if b.Backward {
			d.RMSNormBackward(r.stream(b.M*h), r.floats(h), r.act(b.M*h), r.stream(b.M*h), r.floats(h), r.floats(b.M), b.M, h)
		}
		p, x := r.pass(), r.prefix()
		if s.D > 0 {
			r.attention(p, x)
		}
		if b.Vocabulary > 0 {
			r.head(p)
		}
	}
	return d.c.wanted[:]
}

// A rehearsal makes operands that are nowhere.
type rehearsal struct {
	*Device
	device.Bounds
}

func (r rehearsal) tensor(f device.Format, n int) device.Tensor {
	return device.Tensor{Format: f, Mem: r.nowhere(n * f.Size()), N: n}
}

func (r rehearsal) nowhere(n int) device.Mem {
	return device.HostMem(unsafe.Slice((*byte)(unsafe.Pointer(&r.c.nowhere)), n))
}

func (r rehearsal) act(n int) device.Tensor    { return r.tensor(r.Activations, n) }
func (r rehearsal) stream(n int) device.Tensor { return r.tensor(r.Residual, n) }
func (r rehearsal) floats(n int) device.Tensor { return r.tensor(device.F32, n) }

func (r rehearsal) weight(f device.Format, o, i int) device.Matrix {
	return device.Matrix{Format: f, Data: r.nowhere(o * f.Row(i)), Scales: r.floats(o * f.Scales(i))}
}

// gradient is of n weights that are stored as the frozen ones are.
func (r rehearsal) gradient(n int) device.Tensor {
	if r.Frozen == device.BF16 {
		return r.tensor(device.BF16, n)
	}
	return r.floats(n)
}

func (r rehearsal) pass() *device.Pass {
	at := (*C.int32_t)(unsafe.Pointer(&r.c.nowhere))
	return &device.Pass{Limits: r.Limits, M: r.M, S: r.S, N: r.N, Pages: r.Pages, Length: longest(r.Bounds), On: &pass{c: C.pass{
		m: C.long(r.M), s: C.long(r.S), n: C.long(r.N), pages: C.long(r.Pages), longest: C.long(r.M),
		cu_seqlens: at, targets: at, past: at, page: at,
		scored: at, scored_rows: C.long(r.M),
		spans: (*C.span)(unsafe.Pointer(at)), span_count: C.long(mostSpans(r.M, r.S)),
	}}}
}

// linear is a layer on all rows of a pass.
func (r rehearsal) linear(in, out int) {
	l := &device.Linear{W: r.weight(r.Frozen, out, in), Bias: r.floats(out), I: in, O: out}
	g := &device.LinearGrad{}
	if r.FullGradients {
		g.W, g.Bias = r.gradient(out*in), r.floats(out)
	}
	if n := r.Rank; n > 0 {
		l.LoRA = &device.LoRA{A: r.floats(n * in), B: r.floats(out * n), U: r.floats(r.M * n), R: n, Scale: 1}
		if r.Bounds.Dropout {
			l.LoRA.Dropout = 0.5
		}
		g.A, g.B, g.DU = r.floats(n*in), r.floats(out*n), r.floats(r.M*n)
	}
	r.Device.Linear(r.act(r.M*out), r.act(r.M*in), r.M, l)
	if r.Backward {
		r.LinearBackward(r.act(r.M*in), r.act(r.M*out), r.act(r.M*in), r.M, l, g)
	}
}

// prefix is a prefix, after the layers that it is projected with.
func (r rehearsal) prefix() *device.Prefix {
	n, w, h := r.Prefix, r.PrefixWidth, r.Hidden
	if n == 0 {
		return nil
	}
	for _, l := range []*device.Linear{{W: r.weight(device.F32, h, w), I: w, O: h}, {W: r.weight(device.F32, w, h), I: h, O: w}} {
		r.Device.Linear(r.floats(n*l.O), r.floats(n*l.I), n, l)
		r.LinearBackward(r.floats(n*l.I), r.floats(n*l.O), r.floats(n*l.I), n, l, &device.LinearGrad{W: r.floats(l.O * l.I)})
	}
	return &device.Prefix{Table: r.floats(n * w), N: n, Stride: w}
}

func (r rehearsal) attention(p *device.Pass, x *device.Prefix) {
	s := r.Heads
	o, lse, qkv := r.act(r.M*s.A*s.D), r.floats(r.M*s.A), r.act(r.M*s.Width())
	if r.Pages > 0 {
		r.AttentionCached(o, qkv, device.Cache{K: r.act(1), V: r.act(1)}, p, s, x)
		return
	}
	r.Attention(o, lse, qkv, p, s, x)
	if r.Backward {
		r.AttentionBackward(qkv, o, o, lse, qkv, p, s, x, x)
	}
}

// head is the output layer, for scores and for the loss.
func (r rehearsal) head(p *device.Pass) {
	h, v := r.Hidden, r.Vocabulary
	l := &device.Head{W: r.weight(r.Frozen, v, h), Bias: r.floats(v), H: h, V: v}
	r.Device.Linear(r.floats(r.N*v), r.act(r.N*h), r.N, &device.Linear{W: l.W, I: h, O: v})
	if r.Pages > 0 {
		return
	}
	g, dx, o := &device.HeadGrad{}, device.Tensor{}, device.Objective{}
	if r.FullGradients {
		g.W, g.Bias = r.gradient(v*h), r.floats(v)
	}
	if r.Backward {
		dx = r.act(r.M * h)
	}
	if r.Reference {
		o.KL, o.Reference = 1, r.act(r.M*h)
	}
	r.CrossEntropy(r.floats(r.M), device.Ints{}, dx, r.act(r.M*h), p, l, g, 1, o)
}
