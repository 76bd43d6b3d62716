package reference_test

import (
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/devicetest"
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
				return open(t, o)
			}, tolerance)
		})
	}
}
