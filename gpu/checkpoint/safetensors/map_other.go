//go:build !unix

package safetensors

import (
	"errors"
	"os"
)

// mapFile says that this system is not known to map files.
func mapFile(f *os.File, _ int64) ([]byte, func() error, error) {
	return nil, nil, &os.PathError{Op: "map", Path: f.Name(), Err: errors.ErrUnsupported}
}
