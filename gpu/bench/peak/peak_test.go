package peak

import (
	"errors"
	"testing"
)

// TestMeasure: every machine multiplies and reads, and two threads of a probe
// are not slower than nothing.
func TestMeasure(t *testing.T) {
	limits, err := Measure(2)
	if errors.Is(err, ErrNotBuilt) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]float64{}
	for _, l := range limits {
		seen[l.Name] = l.Best
		t.Logf("%s: %.0f %s", l.Name, l.Best, l.Unit)
	}
	// A millionth of what any machine of this century does, and a thousand times more.
	for name, within := range map[string][2]float64{"fp32": {0.1, 1e6}, "read": {0.05, 1e5}} {
		if v := seen[name]; v < within[0] || v > within[1] {
			t.Errorf("%s is %g: want %g to %g", name, v, within[0], within[1])
		}
	}
	if _, err := Measure(0); err == nil {
		t.Error("no threads measured something")
	}
}
