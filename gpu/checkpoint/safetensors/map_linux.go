package safetensors

import (
	"bytes"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// mapped maps f into memory; where that fails it is read with pread instead.
func mapped(f *os.File, size int64) (io.ReaderAt, func() error) {
	if size <= 0 || int64(int(size)) != size {
		return f, f.Close
	}
	m, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return f, f.Close
	}
	f.Close()
	return bytes.NewReader(m), func() error { return unix.Munmap(m) }
}
