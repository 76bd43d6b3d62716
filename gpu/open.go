package gpu

import (
	"errors"
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/cpu"
	"github.com/glmflow/glmflow/gpu/device/cuda"
	"github.com/glmflow/glmflow/gpu/device/reference"
)

// Open opens a device by the name of its backend:
//
//	cpu        C kernels on the host
//	reference  plain Go, slow, everywhere
//	cuda       finds an NVIDIA device, and says that it cannot compute yet
//	auto or "" cpu, or reference in a build without cgo
//
// The caller closes it.
func Open(backend string, o device.Options) (device.Device, error) {
	switch backend {
	case "", "auto":
		d, err := cpu.Open(o)
		if errors.Is(err, cpu.ErrNotBuilt) {
			return Open("reference", o)
		}
		return d, err
	case "cpu":
		return cpu.Open(o)
	case "reference":
		d, err := reference.Open(o)
		if err != nil {
			return nil, err // and no typed nil
		}
		return d, nil
	case "cuda":
		return cuda.Open(o)
	}
	return nil, fmt.Errorf("device %q: want auto, cpu, reference or cuda", backend)
}
