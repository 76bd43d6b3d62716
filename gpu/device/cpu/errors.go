package cpu

import "errors"

// ErrNotBuilt is what Open returns in a build without the C kernels.
var ErrNotBuilt = errors.New("cpu device: built without cgo: build with CGO_ENABLED=1 and a C compiler, or use the reference device")
