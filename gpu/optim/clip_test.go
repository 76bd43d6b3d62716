package optim

import (
	"math"
	"testing"
)

func TestClipScale(t *testing.T) {
	if got := ClipScale(4, 1); math.Abs(float64(got)-0.25) > 1e-6 {
		t.Errorf("norm 4 to 1: %g", got)
	}
	if ClipScale(0.5, 1) != 1 || ClipScale(100, 0) != 1 {
		t.Error("clipped without need")
	}
}
