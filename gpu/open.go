package gpu

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/reference"
)

// Open opens a device by the name of its backend:
//
//	reference  plain Go, slow, everywhere
//	auto       the fastest there is
//
// The caller closes it.
func Open(backend string, o device.Options) (device.Device, error) {
	switch backend {
	case "reference", "auto", "":
		return reference.Open(o)
	}
	return nil, fmt.Errorf("device %q: want auto, cpu, reference or cuda", backend)
}
