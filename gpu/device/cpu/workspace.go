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
	d.rehearse(b)
	bytes := mapped(tableBytes(b.Heads, longest(b)))
	for _, n := range d.c.wanted {
		bytes += mapped(int(n))
	}
	return bytes
}

// Reserve takes what Workspace counts.
func (d *Device) Reserve(b device.Bounds) error {
	d.rehearse(b)
	for i, n := range d.c.wanted {
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

// rehearse leaves in d.c.wanted what the operators of a pass ask for. Their
// operands are nowhere.
func (d *Device) rehearse(b device.Bounds) {
	clear(d.c.wanted[:])
	d.c.rehearsing = 1
	defer func() { d.c.rehearsing = 0 }()

	nowhere := func(n int) device.Mem { return device.HostMem(unsafe.Slice((*byte)(unsafe.Pointer(&d.c.nowhere)), n)) }
	tensor := func(f device.Format, n int) device.Tensor {
		if n == 0 {
			return device.Tensor{}
		}
		return device.Tensor{Format: f, Mem: nowhere(n * f.Size()), N: n}
	}
	act := func(n int) device.Tensor { return tensor(b.Activations, n) }
	stream := func(n int) device.Tensor { return tensor(b.Residual, n) }
	float := func(n int) device.Tensor { return tensor(device.F32, n) }
	weight := func(f device.Format, o, i int) device.Matrix {
		return device.Matrix{Format: f, Data: nowhere(o * f.Row(i)), Scales: float(o * f.Scales(i))}
	}
	gradient := func(f device.Format, n int) device.Tensor {
		if f != device.BF16 {
			f = device.F32
		}
		return tensor(f, n)
	}
	at := (*C.int32_t)(unsafe.Pointer(&d.c.nowhere))
	p := &device.Pass{Limits: b.Limits, M: b.M, S: b.S, N: b.N, Pages: b.Pages, Length: longest(b), On: &pass{c: C.pass{
		m: C.long(b.M), s: C.long(b.S), n: C.long(b.N), pages: C.long(b.Pages),
		ids: at, positions: at, cu_seqlens: at, targets: at, rows: at, adapters: at, past: at, page: at, by_id: at, by_row: at, scored: at,
		spans: (*C.span)(unsafe.Pointer(at)), span_count: C.long(mostSpans(b.M, b.S)), scored_rows: C.long(b.M), longest: C.long(b.M),
	}}}
	h, s := b.Hidden, b.Heads

	linear := func(f device.Format, in, out int) {
		l := &device.Linear{W: weight(f, out, in), Bias: float(out), I: in, O: out}
		g := &device.LinearGrad{}
		if b.FullGradients {
			g.W, g.Bias = gradient(f, out*in), float(out)
		}
		if r := b.Rank; r > 0 {
			l.LoRA = &device.LoRA{A: float(r * in), B: float(out * r), U: float(b.M * r), R: r, Scale: 1}
			if b.Dropout {
				l.LoRA.Dropout = 0.5
			}
			g.A, g.B, g.DU = float(r*in), float(out*r), float(b.M*r)
		}
		d.Linear(act(b.M*out), act(b.M*in), b.M, l)
		if b.Backward {
			d.LinearBackward(act(b.M*in), act(b.M*out), act(b.M*in), b.M, l, g)
		}
	}
	linear(b.Frozen, h, s.Width())
	linear(b.Frozen, s.A*s.D, h)
	linear(b.Frozen, h, 2*b.FFN)
	linear(b.Frozen, b.FFN, h)
	if b.Backward {
		d.RMSNormBackward(stream(b.M*h), float(h), act(b.M*h), stream(b.M*h), float(h), float(b.M), b.M, h)
	}

	var x, dx *device.Prefix
	if w := b.PrefixWidth; b.Prefix > 0 {
		x = &device.Prefix{Table: float(b.Prefix * w), N: b.Prefix, Stride: w}
		dx = x
		for _, l := range []*device.Linear{{W: weight(device.F32, h, w), I: w, O: h}, {W: weight(device.F32, w, h), I: h, O: w}} {
			d.Linear(float(b.Prefix*l.O), float(b.Prefix*l.I), b.Prefix, l)
			d.LinearBackward(float(b.Prefix*l.I), float(b.Prefix*l.O), float(b.Prefix*l.I), b.Prefix, l, &device.LinearGrad{W: float(l.O * l.I)})
		}
	}
	switch {
	case b.Pages > 0:
		d.AttentionCached(act(b.M*s.A*s.D), act(b.M*s.Width()), device.Cache{K: act(1), V: act(1)}, p, s, x)
	default:
		d.Attention(act(b.M*s.A*s.D), float(b.M*s.A), act(b.M*s.Width()), p, s, x)
		if b.Backward {
			d.AttentionBackward(act(b.M*s.Width()), act(b.M*s.A*s.D), act(b.M*s.A*s.D), float(b.M*s.A), act(b.M*s.Width()), p, s, x, dx)
		}
	}

	head := &device.Head{W: weight(b.Frozen, b.Vocabulary, h), Bias: float(b.Vocabulary), H: h, V: b.Vocabulary}
	d.Linear(float(b.N*head.V), act(b.N*h), b.N, &device.Linear{W: head.W, I: h, O: head.V})
	if b.Pages == 0 {
		grad, dHidden := &device.HeadGrad{}, device.Tensor{}
		if b.FullGradients {
			grad.W, grad.Bias = gradient(b.Frozen, head.V*h), float(head.V)
		}
		if b.Backward {
			dHidden = act(b.M * h)
		}
		goal := device.Objective{}
		if b.Reference {
			goal.KL, goal.Reference = 1, act(b.M*h)
		}
		d.CrossEntropy(float(b.M), device.Ints{}, dHidden, act(b.M*h), p, head, grad, 1, goal)
	}
}
