//go:build !(cgo && unix)

package peak

// Measure returns [ErrNotBuilt].
func Measure(threads int) ([]Limit, error) { return nil, ErrNotBuilt }
