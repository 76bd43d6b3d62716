//go:build !cgo || !unix

package cpu

import "github.com/glmflow/glmflow/gpu/device"

// Open returns [ErrNotBuilt].
func Open(device.Options) (device.Device, error) { return nil, ErrNotBuilt }
