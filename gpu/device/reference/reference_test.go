package reference_test

import (
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/devicetest"
	"github.com/glmflow/glmflow/gpu/device/reference"
)

func TestConformance(t *testing.T) {
	suite := devicetest.NewSuite()
	for precision, tolerance := range map[string]devicetest.Tolerance{
		"fp32": {Product: 2e-6, Other: 2e-6}, // float64 sums: only roundings of results
		"bf16": devicetest.BF16,
	} {
		t.Run(precision, func(t *testing.T) {
			suite.Exercise(t, func(o device.Options) device.Device {
				o.Precision = precision
				d, err := reference.Open(o)
				if err != nil {
					t.Fatal(err)
				}
				return d
			}, tolerance)
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, o := range []device.Options{{Workers: -1}, {Precision: "fp8"}} {
		if _, err := reference.Open(o); err == nil {
			t.Errorf("open %+v succeeded", o)
		}
	}
}
