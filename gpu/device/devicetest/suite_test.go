package devicetest

import (
	"strings"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/reference"
)

// openReference opens the reference device.
func openReference(t *testing.T, o device.Options) device.Device {
	t.Helper()
	d, err := reference.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestSummary: the suite says how much it has compared, and how near it was.
func TestSummary(t *testing.T) {
	s := &Suite{cases: append(swigluCases(), clipCases()...)}
	sum := s.Exercise(t, func(o device.Options) device.Device { return openReference(t, o) }, FP32)
	if got := sum.Operators(); strings.Join(got, " ") != "ClipNorm SwiGLU SwiGLUBackward" {
		t.Errorf("operators %q", got)
	}
	if sum.Cases != len(s.cases) || sum.Checks < 5*sum.Cases {
		t.Errorf("%d checks in %d cases, of %d", sum.Checks, sum.Cases, len(s.cases))
	}
	for _, o := range sum.Operators() {
		if w := sum.Worst(o); w <= 0 || w > FP32.Other {
			t.Errorf("%s: worst difference %g", o, w)
		}
	}
	if !strings.Contains(sum.String(), "Conformance of reference/") {
		t.Errorf("summary %q", sum)
	}
}
