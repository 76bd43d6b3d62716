package reference

import (
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

// RMSNorm adds res to the residual stream and normalises the rows of what was
// stored.
func (d *host) RMSNorm(y, rstd, sum, x, res, w device.Tensor, m, h int, eps float32) {
	if !res.Empty() {
		out, stream := floats(sum), floats(x)
		for i, v := range floats(res) {
			out[i] = stream[i] + v
		}
		store(sum, out)
		x = sum
	}
	out, stream, scale, weight := floats(y), floats(x), rstd.Floats(), w.Floats()
	for i := range m {
		row := stream[i*h : (i+1)*h]
		r := 1 / math.Sqrt(dot(row, row)/float64(h)+float64(eps))
		scale[i] = float32(r)
		for j, v := range row {
			out[i*h+j] = float32(float64(weight[j]) * float64(v) * r)
		}
	}
	store(y, out)
}

// RMSNormBackward, with ρ = rstd and q = dy ⊙ w:
//
//	dx += ρ·q − x·ρ³·mean(q⊙x)    dw += Σ_m dy ⊙ x·ρ
func (d *host) RMSNormBackward(dx, dw, dy, x, w, rstd device.Tensor, m, h int) {
	out, grad, stream := floats(dx), floats(dy), floats(x)
	scale, weight := rstd.Floats(), w.Floats()
	sum := make([]float64, h)
	for i := range m {
		r := float64(scale[i])
		mean := 0.0
		for j := range h {
			g, v := float64(grad[i*h+j]), float64(stream[i*h+j])
			mean += g * float64(weight[j]) * v / float64(h)
			sum[j] += g * v * r
		}
		for j := range h {
			q, v := float64(grad[i*h+j])*float64(weight[j]), float64(stream[i*h+j])
			out[i*h+j] += float32(r*q - v*r*r*r*mean)
		}
	}
	store(dx, out)
	if !dw.Empty() {
		for j, total := range dw.Floats() {
			dw.Floats()[j] = total + float32(sum[j])
		}
	}
}
