//go:build !linux

package cli

import "errors"

// freeSpace is not known here.
func freeSpace(string) (int64, error) { return 0, errors.New("cannot be measured on this system") }
