package optim

import (
	"math"
	"testing"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/reference"
)

// TestAdamWAgainstItsFormula follows five updates of one weight in float64.
func TestAdamWAgainstItsFormula(t *testing.T) {
	dev, err := reference.Open(device.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	param := func(shape ...int) *chatglm.Param {
		w, _ := dev.Alloc(2)
		g, _ := dev.Alloc(2)
		copy(w.Host, []float32{1, -2})
		return &chatglm.Param{Name: "w", Shape: shape, W: w, Grad: g}
	}
	matrix, norm := param(1, 2), param(2)
	a, err := NewAdamW(dev, []*chatglm.Param{matrix, norm}, AdamWConfig{Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, WeightDecay: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	want := map[*chatglm.Param][]float64{matrix: {1, -2}, norm: {1, -2}}
	var m, v [2]float64
	for step := 1; step <= 5; step++ {
		const lr, scale = 0.01, 0.5
		for i := range 2 {
			g := float64(step) * []float64{0.3, -0.7}[i]
			matrix.Grad.Host[i], norm.Grad.Host[i] = float32(g), float32(g)
			g *= scale
			m[i], v[i] = 0.9*m[i]+0.1*g, 0.99*v[i]+0.01*g*g
			update := lr * (m[i] / (1 - math.Pow(0.9, float64(step)))) / (math.Sqrt(v[i]/(1-math.Pow(0.99, float64(step)))) + 1e-8)
			want[matrix][i] = want[matrix][i]*(1-lr*0.1) - update
			want[norm][i] -= update // norms are not decayed
		}
		a.Step(lr, scale)
	}
	for p, w := range want {
		for i := range w {
			if math.Abs(float64(p.W.Host[i])-w[i]) > 1e-5 {
				t.Errorf("%v[%d] is %g, want %g", p.Shape, i, p.W.Host[i], w[i])
			}
		}
	}
	if a.Steps() != 5 {
		t.Errorf("%d steps", a.Steps())
	}
}

// The official 3000-step run logged a rate of 4.98333e-5 at step 10 from 5e-5.
func TestLinearDecayAsInTheOfficialLog(t *testing.T) {
	s, err := NewSchedule(0, 3000, "linear")
	if err != nil {
		t.Fatal(err)
	}
	if got := 5e-5 * s.At(10); math.Abs(got-4.98333e-5) > 1e-10 {
		t.Errorf("rate after 10 steps is %g", got)
	}
}

func TestSchedules(t *testing.T) {
	for _, c := range []struct {
		warmup, total int
		decay         string
		step          int
		want          float64
	}{
		{0, 100, "linear", 0, 1}, {0, 100, "linear", 50, 0.5}, {0, 100, "linear", 100, 0}, {0, 100, "linear", 200, 0},
		{10, 110, "linear", 0, 0.1}, {10, 110, "linear", 9, 1}, {10, 110, "linear", 60, 0.5},
		{0, 100, "cosine", 0, 1}, {0, 100, "cosine", 50, 0.5}, {0, 100, "cosine", 100, 0},
		{5, 100, "constant", 4, 1}, {5, 100, "constant", 99, 1}, {5, 100, "constant", 0, 0.2},
	} {
		s, err := NewSchedule(c.warmup, c.total, c.decay)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.At(c.step); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s, warm-up %d of %d, step %d: %g, want %g", c.decay, c.warmup, c.total, c.step, got, c.want)
		}
	}
	if _, err := NewSchedule(0, 10, "exponential"); err == nil {
		t.Error("an unknown decay was taken")
	}
}

func TestClipScale(t *testing.T) {
	if got := ClipScale(4, 1); math.Abs(float64(got)-0.25) > 1e-6 {
		t.Errorf("norm 4 to 1: %g", got)
	}
	if ClipScale(0.5, 1) != 1 || ClipScale(100, 0) != 1 {
		t.Error("clipped without need")
	}
}
