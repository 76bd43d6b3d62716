package devicetest

import (
	"reflect"
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

// TestEveryOperator: there are cases of every method of a device that computes,
// and the others have tests of their own.
func TestEveryOperator(t *testing.T) {
	tested := map[string]bool{}
	for _, name := range []string{"Info", "Close", "Do", "Available", "Alloc", "Free", "Upload", "Download", "Sync", "Workspace", "Reserve", "NewPass", "FreePass", "Prepare"} {
		tested[name] = true // see memory.go, order.go and budget.go
	}
	names := map[string]bool{}
	for _, c := range NewSuite().cases {
		operator, _, _ := strings.Cut(c.name, "/")
		tested[operator] = true
		if names[c.name] {
			t.Errorf("two cases are %q", c.name)
		}
		names[c.name] = true
	}
	methods := reflect.TypeFor[device.Device]()
	for i := range methods.NumMethod() {
		if name := methods.Method(i).Name; !tested[name] {
			t.Errorf("there is no case of %s", name)
		}
	}
	t.Logf("%d cases", len(names))
}
