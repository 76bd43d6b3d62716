package optim

import (
	"fmt"
	"math"
)

// A Schedule is the learning rate over a training, as a fraction of its peak:
// a linear rise, then a fall.
type Schedule struct {
	warmup, total int
	decay         string
}

// NewSchedule rises linearly for warmup steps and then falls until total:
// "linear" to zero, "cosine" to zero along half a wave, or "constant" not at all.
func NewSchedule(warmup, total int, decay string) (Schedule, error) {
	if warmup < 0 || total < 1 {
		return Schedule{}, fmt.Errorf("schedule: %d steps of warm-up in %d: want 0 or more in 1 or more", warmup, total)
	}
	switch decay {
	case "linear", "cosine", "constant":
		return Schedule{warmup, total, decay}, nil
	}
	return Schedule{}, fmt.Errorf("schedule: decay %q: want linear, cosine or constant", decay)
}

// At is the fraction for the update after step steps: 1 for the first one
// without warm-up.
func (s Schedule) At(step int) float64 {
	if step < s.warmup {
		return float64(step+1) / float64(s.warmup)
	}
	if s.decay == "constant" {
		return 1
	}
	left := max(0, float64(s.total-step)/float64(max(1, s.total-s.warmup)))
	if s.decay == "cosine" {
		return (1 - math.Cos(math.Pi*left)) / 2
	}
	return left
}
