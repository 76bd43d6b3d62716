package gpu

import (
	"errors"
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/cpu"
	"github.com/glmflow/glmflow/gpu/device/reference"
)

// Open opens a device by the name of its backend:
//
//	cpu        C kernels on the host
//	reference  plain Go, slow, everywhere
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
		return nil, errors.New("device cuda: its operators are not written yet: use cpu")
	}
	return nil, fmt.Errorf("device %q: want auto, cpu, reference or cuda", backend)
}
