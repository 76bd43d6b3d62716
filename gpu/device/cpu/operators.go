//go:build cgo && unix

package cpu

// #include "kernels.h"
import "C"

import "github.com/glmflow/glmflow/gpu/device"

// Each operator makes one call. Arguments are right: device.Checked has seen them.

// Embed gathers rows of table.
func (d *Device) Embed(y device.Tensor, table device.Matrix, p *device.Pass, h int) {
	w := stored(table)
	C.cpu_embed(d.c, t(y), &w, &prepared(p).c, C.long(h))
}

// EmbedBackward adds rows of dy to the rows they came from.
func (d *Device) EmbedBackward(dtable, dy device.Tensor, p *device.Pass, h int) {
	C.cpu_embed_backward(d.c, t(dtable), t(dy), prepared(p).sortedIDs(), C.long(h))
}

// Gather copies rows of x.
func (d *Device) Gather(y, x device.Tensor, p *device.Pass, h int) {
	C.cpu_gather(d.c, t(y), t(x), &prepared(p).c, C.long(h))
}

// GatherBackward adds rows of dy to the rows they came from.
func (d *Device) GatherBackward(dx, dy device.Tensor, p *device.Pass, h int) {
	C.cpu_gather_backward(d.c, t(dx), t(dy), prepared(p).sortedRows(), C.long(h))
}

// RMSNorm adds res to the residual stream x and normalises its rows.
func (d *Device) RMSNorm(y, rstd, sum, x, res, w device.Tensor, m, h int, eps float32) {
	C.cpu_norm(d.c, t(y), f(rstd), t(sum), t(x), t(res), f(w), C.long(m), C.long(h), C.float(eps))
}

// RMSNormBackward adds the gradients through the norm.
func (d *Device) RMSNormBackward(dx, dw, dy, x, w, rstd device.Tensor, m, h int) {
	C.cpu_norm_backward(d.c, t(dx), f(dw), t(dy), t(x), f(w), f(rstd), C.long(m), C.long(h))
}

// SwiGLU is z = silu(u[:, :F])·u[:, F:].
func (d *Device) SwiGLU(z, u device.Tensor, m, f int) {
	C.cpu_swiglu(d.c, t(z), t(u), C.long(m), C.long(f))
}

// SwiGLUBackward is du from dz.
func (d *Device) SwiGLUBackward(du, dz, u device.Tensor, m, f int) {
	C.cpu_swiglu_backward(d.c, t(du), t(dz), t(u), C.long(m), C.long(f))
}

// Tanh is y = tanh(x).
func (d *Device) Tanh(y, x device.Tensor) { C.cpu_tanh(d.c, t(y), t(x), C.long(y.N)) }

// TanhBackward is dx = dy·(1−y²).
func (d *Device) TanhBackward(dx, dy, y device.Tensor) {
	C.cpu_tanh_backward(d.c, t(dx), t(dy), t(y), C.long(y.N))
}

// Dropout zeroes a share of x and divides the rest by 1 minus that share.
func (d *Device) Dropout(y, x device.Tensor, share float32, seed uint64) {
	C.cpu_dropout(d.c, t(y), t(x), C.long(y.N), C.float(share), C.uint64_t(seed))
}

// Noise adds uniform numbers to the sequences.
func (d *Device) Noise(x device.Tensor, p *device.Pass, h int, a float32, seed uint64) {
	C.cpu_noise(d.c, t(x), &prepared(p).c, C.long(h), C.float(a), C.uint64_t(seed))
}

// Axpy is y += a·x.
func (d *Device) Axpy(y device.Tensor, a float32, x device.Tensor) {
	C.cpu_axpy(d.c, t(y), C.float(a), t(x), C.long(y.N))
}
