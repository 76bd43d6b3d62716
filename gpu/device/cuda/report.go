package cuda

import (
	"errors"
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

// A Report is what [Probe] found.
type Report struct {
	Driver  string // highest CUDA version the driver supports, "13.0"
	Devices []GPU  // in the driver's order
}

// A GPU is one device of a [Report].
type GPU struct {
	Name       string // "NVIDIA H100 80GB HBM3"
	UUID       string // as nvidia-smi prints it after "GPU-"
	Capability string // compute capability, "9.0"
	Memory     int64  // bytes in all
	Free       int64  // bytes free at the time of the probe
	Copied     int64  // bytes that came back as they were sent
	Err        error  // why the device cannot be used, nil if it can
}

// ErrNotBuilt says that this binary has no CUDA in it.
var ErrNotBuilt = errors.New("built without the cuda tag; `make cuda` builds with it")

// Open would open the first device. Its operators are not written yet, so it
// reports that, or why there is no device to begin with.
func Open(device.Options) (device.Device, error) {
	report, err := Probe()
	if err != nil {
		return nil, fmt.Errorf("cuda: %w", err)
	}
	if len(report.Devices) == 0 {
		return nil, errors.New("cuda: the driver is here but shows no device")
	}
	return nil, fmt.Errorf("cuda: %s is here, but this version cannot train or generate on it yet; use device cpu", report.Devices[0].Name)
}
