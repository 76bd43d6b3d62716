//go:build !linux

package safetensors

import (
	"io"
	"os"
)

func mapped(f *os.File, _ int64) (io.ReaderAt, func() error) { return f, f.Close }
