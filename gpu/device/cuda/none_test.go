//go:build !(cuda && cgo && linux && (amd64 || arm64))

package cuda_test

import (
	"errors"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/cuda"
)

func TestWithoutTag(t *testing.T) {
	if report, err := cuda.Probe(); !errors.Is(err, cuda.ErrNotBuilt) || len(report.Devices) != 0 {
		t.Errorf("Probe: %+v, %v", report, err)
	}
	if d, err := cuda.Open(device.Options{}); d != nil || !errors.Is(err, cuda.ErrNotBuilt) {
		t.Errorf("Open: %v, %v", d, err)
	}
}
