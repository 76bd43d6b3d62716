package optim

import (
	"math"
	"testing"
)

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
