package reference

import (
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

// SwiGLU is z = a·σ(a)·b for u = [a | b].
func (d *host) SwiGLU(z, u device.Tensor, m, f int) {
	out, in := floats(z), floats(u)
	for i := range m {
		for j := range f {
			a, b := float64(in[2*i*f+j]), float64(in[2*i*f+f+j])
			out[i*f+j] = float32(a * sigmoid(a) * b)
		}
	}
	store(z, out)
}

// SwiGLUBackward, with s = σ(a): da = dz·b·s·(1 + a·(1−s)), db = dz·a·s.
func (d *host) SwiGLUBackward(du, dz, u device.Tensor, m, f int) {
	out, grad, in := floats(du), floats(dz), floats(u)
	for i := range m {
		for j := range f {
			a, b := float64(in[2*i*f+j]), float64(in[2*i*f+f+j])
			g, s := float64(grad[i*f+j]), sigmoid(a)
			out[2*i*f+j] = float32(g * b * s * (1 + a*(1-s)))
			out[2*i*f+f+j] = float32(g * a * s)
		}
	}
	store(du, out)
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// Tanh is y = tanh(x).
func (d *host) Tanh(y, x device.Tensor) {
	out := y.Floats()
	for i, v := range x.Floats() {
		out[i] = float32(math.Tanh(float64(v)))
	}
}

// TanhBackward is dx = dy·(1−y²).
func (d *host) TanhBackward(dx, dy, y device.Tensor) {
	out, grad := dx.Floats(), dy.Floats()
	for i, v := range y.Floats() {
		out[i] = float32(float64(grad[i]) * (1 - float64(v)*float64(v)))
	}
}

// Dropout zeroes a share p of x and divides the rest by 1−p.
func (d *host) Dropout(y, x device.Tensor, p float32, seed uint64) {
	drop(y.Floats(), x.Floats(), p, seed)
}

// drop keeps x[i], divided by 1−p, iff Uniform(seed, i) ≥ p.
func drop(y, x []float32, p float32, seed uint64) {
	keep := 1 / (1 - p)
	for i, v := range x {
		y[i] = 0
		if device.Uniform(seed, uint64(i)) >= p {
			y[i] = v * keep
		}
	}
}

// Noise adds uniform numbers within ±a/√(L·H) to each sequence, from a stream of
// its own.
func (d *host) Noise(x device.Tensor, p *device.Pass, h int, a float32, seed uint64) {
	out := floats(x)
	for s := range p.S {
		first, n := sequence(batch(p), s)
		most := float32(float64(a) / math.Sqrt(float64(n*h)))
		stream := device.Stream(seed, uint64(s))
		for i := range n * h {
			out[first*h+i] += most * (2*device.Uniform(stream, uint64(i)) - 1)
		}
	}
	store(x, out)
}

// Axpy is y += a·x.
func (d *host) Axpy(y device.Tensor, a float32, x device.Tensor) {
	out := y.Floats()
	for i, v := range x.Floats() {
		out[i] += a * v
	}
}
