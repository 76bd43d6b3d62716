//go:build cgo && unix

package cpu

// #include "kernels.h"
import "C"

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

// Each operator checks sizes and makes one call.

// Zero clears dst.
func (d *Device) Zero(dst device.Mem) { C.cpu_zero(d.c, p(dst), C.long(dst.N)) }

// Copy copies src to dst, which has the same length.
func (d *Device) Copy(dst, src device.Mem) {
	want("Copy", "src", src.N, dst.N)
	C.cpu_copy(d.c, p(dst), p(src), C.long(dst.N))
}

// inside panics unless every id is a row of a table of that many.
func inside(operator string, ids []int32, rows int) {
	for m, id := range ids {
		if id < 0 || int(id) >= rows {
			panic(fmt.Sprintf("cpu: %s: id %d of row %d is outside a table of %d rows", operator, id, m, rows))
		}
	}
}

// Embed gathers rows of table.
func (d *Device) Embed(y device.Mem, table device.Matrix, ids []int32, h int) {
	want("Embed", "y", y.N, len(ids)*h)
	rows := table.Rows(h)
	table.Fit("Embed", "table", rows, h)
	inside("Embed", ids, rows)
	t := stored(table)
	C.cpu_embed(d.c, p(y), &t, ints(ids), C.long(len(ids)), C.long(h))
}

// EmbedBackward adds rows of dy to the rows they came from.
func (d *Device) EmbedBackward(dtable, dy device.Mem, ids []int32, h int) {
	want("EmbedBackward", "dy", dy.N, len(ids)*h)
	inside("EmbedBackward", ids, dtable.N/h)
	C.cpu_embed_backward(d.c, p(dtable), p(dy), ints(ids), C.long(len(ids)), C.long(h))
}

// RMSNorm adds res to the residual stream x and normalises its rows.
func (d *Device) RMSNorm(y, rstd, x, res, w device.Mem, m, h int, eps float32) {
	want("RMSNorm", "y", y.N, m*h)
	want("RMSNorm", "rstd", rstd.N, m)
	want("RMSNorm", "x", x.N, m*h)
	want("RMSNorm", "w", w.N, h)
	if !res.Empty() {
		want("RMSNorm", "res", res.N, m*h)
	}
	C.cpu_norm(d.c, p(y), p(rstd), p(x), p(res), p(w), C.long(m), C.long(h), C.float(eps))
}

// RMSNormBackward adds the gradients through the norm.
func (d *Device) RMSNormBackward(dx, dw, dy, x, w, rstd device.Mem, m, h int) {
	want("RMSNormBackward", "dx", dx.N, m*h)
	want("RMSNormBackward", "dy", dy.N, m*h)
	want("RMSNormBackward", "x", x.N, m*h)
	want("RMSNormBackward", "w", w.N, h)
	want("RMSNormBackward", "rstd", rstd.N, m)
	if !dw.Empty() {
		want("RMSNormBackward", "dw", dw.N, h)
	}
	C.cpu_norm_backward(d.c, p(dx), p(dw), p(dy), p(x), p(w), p(rstd), C.long(m), C.long(h))
}

// SwiGLU is z = silu(u[:, :F])·u[:, F:].
func (d *Device) SwiGLU(z, u device.Mem, m, f int) {
	want("SwiGLU", "z", z.N, m*f)
	want("SwiGLU", "u", u.N, 2*m*f)
	C.cpu_swiglu(d.c, p(z), p(u), C.long(m), C.long(f))
}

// SwiGLUBackward is du from dz.
func (d *Device) SwiGLUBackward(du, dz, u device.Mem, m, f int) {
	want("SwiGLUBackward", "du", du.N, 2*m*f)
	want("SwiGLUBackward", "dz", dz.N, m*f)
	want("SwiGLUBackward", "u", u.N, 2*m*f)
	C.cpu_swiglu_backward(d.c, p(du), p(dz), p(u), C.long(m), C.long(f))
}

// layer checks the sizes of l and returns its C form.
func layer(operator string, l *device.Linear, m int) C.linear {
	l.W.Fit(operator, "W", l.O, l.I)
	if !l.Bias.Empty() {
		want(operator, "Bias", l.Bias.N, l.O)
	}
	c := C.linear{w: stored(l.W), bias: p(l.Bias), i: C.long(l.I), o: C.long(l.O)}
	if a := l.LoRA; a != nil {
		want(operator, "LoRA A", a.A.N, a.R*l.I)
		want(operator, "LoRA B", a.B.N, l.O*a.R)
		want(operator, "LoRA U", a.U.N, m*a.R)
		c.a, c.b, c.u, c.r = p(a.A), p(a.B), p(a.U), C.long(a.R)
		c.scale, c.dropout, c.seed = C.float(a.Scale), C.float(a.Dropout), C.uint64_t(a.Seed)
	}
	return c
}

// Linear is y = x·Wᵀ + bias, plus the LoRA branch.
func (d *Device) Linear(y, x device.Mem, m int, l *device.Linear) {
	want("Linear", "y", y.N, m*l.O)
	want("Linear", "x", x.N, m*l.I)
	c := layer("Linear", l, m)
	C.cpu_linear(d.c, p(y), p(x), C.long(m), &c)
}

// LinearBackward is dx from dy, and the gradients that g asks for.
func (d *Device) LinearBackward(dx, dy, x device.Mem, m int, l *device.Linear, g *device.LinearGrad) {
	want("LinearBackward", "dy", dy.N, m*l.O)
	c := layer("LinearBackward", l, m)
	if g == nil {
		g = &device.LinearGrad{}
	}
	l.W.Frozen("LinearBackward", g.W)
	if !dx.Empty() {
		want("LinearBackward", "dx", dx.N, m*l.I)
	}
	if !g.W.Empty() {
		want("LinearBackward", "W gradient", g.W.N, l.O*l.I)
	}
	if !g.Bias.Empty() {
		want("LinearBackward", "bias gradient", g.Bias.N, l.O)
	}
	if !g.W.Empty() || l.LoRA != nil && !g.A.Empty() {
		want("LinearBackward", "x", x.N, m*l.I)
	}
	if a := l.LoRA; a != nil {
		if !g.B.Empty() {
			want("LinearBackward", "B gradient", g.B.N, l.O*a.R)
		}
		if !g.A.Empty() {
			want("LinearBackward", "A gradient", g.A.N, a.R*l.I)
		}
		if !g.A.Empty() || !dx.Empty() {
			want("LinearBackward", "DU", g.DU.N, m*a.R)
		}
	}
	grad := C.linear_grad{w: p(g.W), bias: p(g.Bias), a: p(g.A), b: p(g.B), du: p(g.DU)}
	C.cpu_linear_backward(d.c, p(dx), p(dy), p(x), C.long(m), &c, &grad)
}

// CrossEntropy is the output layer and the loss in one.
func (d *Device) CrossEntropy(loss, dx, dw, x device.Mem, w device.Matrix, targets []int32, m, h, v int, scale float32, g device.Goal) {
	want("CrossEntropy", "targets", len(targets), m)
	want("CrossEntropy", "loss", loss.N, m)
	want("CrossEntropy", "x", x.N, m*h)
	w.Fit("CrossEntropy", "w", v, h)
	w.Frozen("CrossEntropy", dw)
	if !dx.Empty() {
		want("CrossEntropy", "dx", dx.N, m*h)
	}
	if !dw.Empty() {
		want("CrossEntropy", "dw", dw.N, v*h)
	}
	for i, t := range targets {
		if int(t) >= v {
			panic(fmt.Sprintf("cpu: CrossEntropy: target %d of row %d is outside a vocabulary of %d", t, i, v))
		}
	}
	goal := C.goal{smoothing: C.float(g.Smoothing), anchor: C.float(g.Anchor)}
	if g.Anchor > 0 {
		want("CrossEntropy", "Base", g.Base.N, m*h)
		goal.base = p(g.Base)
	}
	table := stored(w)
	C.cpu_cross_entropy(d.c, p(loss), p(dx), p(dw), p(x), &table, ints(targets), C.long(m), C.long(h), C.long(v), C.float(scale), goal)
}

// Tanh is y = tanh(x).
func (d *Device) Tanh(y, x device.Mem) {
	want("Tanh", "x", x.N, y.N)
	C.cpu_tanh(d.c, p(y), p(x), C.long(y.N))
}

// TanhBackward is dx = dy·(1−y²).
func (d *Device) TanhBackward(dx, dy, y device.Mem) {
	want("TanhBackward", "dx", dx.N, y.N)
	want("TanhBackward", "dy", dy.N, y.N)
	C.cpu_tanh_backward(d.c, p(dx), p(dy), p(y), C.long(y.N))
}

// Dropout zeroes a share of x and divides the rest by 1 minus that share.
func (d *Device) Dropout(y, x device.Mem, share float32, seed uint64) {
	want("Dropout", "x", x.N, y.N)
	C.cpu_dropout(d.c, p(y), p(x), C.long(y.N), C.float(share), C.uint64_t(seed))
}

// Noise adds uniform numbers in ±a.
func (d *Device) Noise(x device.Mem, a float32, seed uint64) {
	C.cpu_noise(d.c, p(x), C.float(a), C.long(x.N), C.uint64_t(seed))
}

// Axpy is y += a·x.
func (d *Device) Axpy(y device.Mem, a float32, x device.Mem) {
	want("Axpy", "x", x.N, y.N)
	C.cpu_axpy(d.c, p(y), C.float(a), p(x), C.long(y.N))
}

// Scale is x *= a.
func (d *Device) Scale(x device.Mem, a float32) { C.cpu_scale(d.c, p(x), C.float(a), C.long(x.N)) }

// SumSquares is Σ x², by runs of a fixed length.
func (d *Device) SumSquares(x device.Mem) float64 {
	return float64(C.cpu_squares(d.c, p(x), C.long(x.N)))
}
