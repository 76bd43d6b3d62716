package optim

import (
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

// GradNorm is the Euclidean norm of all gradients together.
func GradNorm(dev device.Device, params []Param) float64 {
	sum := 0.0
	for _, p := range params {
		sum += dev.SumSquares(p.Grad)
	}
	return math.Sqrt(sum)
}

// ClipScale is what gradients of the given norm are multiplied with so that
// their norm is at most limit; 0 does not limit. As in PyTorch a millionth is
// added to the norm.
func ClipScale(norm, limit float64) float32 {
	if limit <= 0 {
		return 1
	}
	return float32(min(1, limit/(norm+1e-6)))
}
