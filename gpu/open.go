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
			return opened(reference.Open(o))
		}
		return opened(d, err)
	case "cpu":
		return opened(cpu.Open(o))
	case "reference":
		return opened(reference.Open(o))
	case "cuda":
		return nil, errors.New("device cuda: its operators are not written yet: use cpu")
	}
	return nil, fmt.Errorf("device %q: want auto, cpu, reference or cuda", backend)
}

// opened turns a typed nil into none.
func opened[D device.Device](d D, err error) (device.Device, error) {
	if err != nil {
		return nil, err
	}
	return d, nil
}
