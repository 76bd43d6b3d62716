package reference

import (
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

// Tanh is y = tanh(x).
func (d *Device) Tanh(y, x device.Mem) {
	want("Tanh", "x", x.N, y.N)
	for i, v := range x.Host {
		y.Host[i] = float32(math.Tanh(float64(v)))
	}
}

// TanhBackward is dx = dy·(1−y²).
func (d *Device) TanhBackward(dx, dy, y device.Mem) {
	want("TanhBackward", "dx", dx.N, y.N)
	want("TanhBackward", "dy", dy.N, y.N)
	for i, v := range y.Host {
		dx.Host[i] = float32(float64(dy.Host[i]) * (1 - float64(v)*float64(v)))
	}
}

// Dropout zeroes a share p of x and divides the rest by 1−p.
func (d *Device) Dropout(y, x device.Mem, p float32, seed uint64) {
	want("Dropout", "x", x.N, y.N)
	for i, v := range x.Host {
		y.Host[i] = 0
		if device.Uniform(seed, uint64(i)) >= p {
			y.Host[i] = v * (1 / (1 - p))
		}
	}
}

// Noise adds uniform numbers in ±a.
func (d *Device) Noise(x device.Mem, a float32, seed uint64) {
	for i := range x.Host {
		x.Host[i] += a * (2*device.Uniform(seed, uint64(i)) - 1)
	}
}
