//go:build cgo && unix

package cpu

import (
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/devicetest"
)

// TestConformance runs the suite with every instruction set of this processor.
func TestConformance(t *testing.T) {
	suite := devicetest.NewSuite()
	for _, isa := range tables {
		for precision, tolerance := range map[string]devicetest.Tolerance{"fp32": devicetest.FP32, "bf16": devicetest.BF16} {
			t.Run(isa+"-"+precision, func(t *testing.T) {
				probe, err := open(device.Options{Workers: 1, ISA: isa})
				if err != nil {
					t.Skipf("this processor lacks the kernels: %v", err)
				}
				probe.Close()
				suite.Exercise(t, func(o device.Options) device.Device {
					o.Precision, o.ISA = precision, isa
					d, err := Open(o)
					if err != nil {
						t.Fatal(err)
					}
					return d
				}, tolerance)
			})
		}
	}
}
