//go:build !(cuda && cgo && linux && (amd64 || arm64))

package cuda

// Probe looks for the driver and its devices. This build has no CUDA:
// [ErrNotBuilt].
func Probe() (Report, error) { return Report{}, ErrNotBuilt }
