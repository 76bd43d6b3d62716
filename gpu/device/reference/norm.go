package reference

import (
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

// RMSNorm adds res to the residual stream x and normalises its rows.
func (d *Device) RMSNorm(y, rstd, x, res, w device.Mem, m, h int, eps float32) {
	want("RMSNorm", "y", y.N, m*h)
	want("RMSNorm", "rstd", rstd.N, m)
	want("RMSNorm", "x", x.N, m*h)
	want("RMSNorm", "w", w.N, h)
	if !res.Empty() {
		want("RMSNorm", "res", res.N, m*h)
		for i, v := range res.Host {
			x.Host[i] += v
		}
	}
	for i := range m {
		row := x.Host[i*h : (i+1)*h]
		r := 1 / math.Sqrt(dot(row, row)/float64(h)+float64(eps))
		rstd.Host[i] = float32(r)
		for j, v := range row {
			y.Host[i*h+j] = float32(float64(w.Host[j]) * float64(v) * r)
		}
	}
}

// RMSNormBackward, with ρ = rstd and q = dy ⊙ w:
//
//	dx += ρ·q − x·ρ³·mean(q⊙x)    dw += Σ_m dy ⊙ x·ρ
func (d *Device) RMSNormBackward(dx, dw, dy, x, w, rstd device.Mem, m, h int) {
	want("RMSNormBackward", "dx", dx.N, m*h)
	want("RMSNormBackward", "dy", dy.N, m*h)
	want("RMSNormBackward", "x", x.N, m*h)
	want("RMSNormBackward", "w", w.N, h)
	want("RMSNormBackward", "rstd", rstd.N, m)
	sum := make([]float64, h)
	for i := range m {
		r := float64(rstd.Host[i])
		mean := 0.0
		for j := range h {
			g, v := float64(dy.Host[i*h+j]), float64(x.Host[i*h+j])
			mean += g * float64(w.Host[j]) * v / float64(h)
			sum[j] += g * v * r
		}
		for j := range h {
			q, v := float64(dy.Host[i*h+j])*float64(w.Host[j]), float64(x.Host[i*h+j])
			dx.Host[i*h+j] += float32(r*q - v*r*r*r*mean)
		}
	}
	if !dw.Empty() {
		want("RMSNormBackward", "dw", dw.N, h)
		for j, s := range sum {
			dw.Host[j] += float32(s)
		}
	}
}

// SwiGLU is z = a·σ(a)·b for u = [a | b].
func (d *Device) SwiGLU(z, u device.Mem, m, f int) {
	want("SwiGLU", "z", z.N, m*f)
	want("SwiGLU", "u", u.N, 2*m*f)
	for i := range m {
		for j := range f {
			a, b := float64(u.Host[2*i*f+j]), float64(u.Host[2*i*f+f+j])
			z.Host[i*f+j] = float32(a * sigmoid(a) * b)
		}
	}
}

// SwiGLUBackward, with s = σ(a): da = dz·b·s·(1 + a·(1−s)), db = dz·a·s.
func (d *Device) SwiGLUBackward(du, dz, u device.Mem, m, f int) {
	want("SwiGLUBackward", "du", du.N, 2*m*f)
	want("SwiGLUBackward", "dz", dz.N, m*f)
	want("SwiGLUBackward", "u", u.N, 2*m*f)
	for i := range m {
		for j := range f {
			a, b := float64(u.Host[2*i*f+j]), float64(u.Host[2*i*f+f+j])
			g, s := float64(dz.Host[i*f+j]), sigmoid(a)
			du.Host[2*i*f+j] = float32(g * b * s * (1 + a*(1-s)))
			du.Host[2*i*f+f+j] = float32(g * a * s)
		}
	}
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
