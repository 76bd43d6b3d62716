//go:build cgo && unix

package cpu

// #include "kernels.h"
import "C"

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"github.com/glmflow/glmflow/gpu/device"
)

// Available is what the system could give without swapping, or what is left of
// the budget if that is less.
func (d *Device) Available() int64 {
	text, _ := os.ReadFile("/proc/meminfo") // Linux only
	left := available(string(text))
	if rest := int64(d.c.budget - d.c.used); d.c.budget > 0 && (left < 0 || rest < left) {
		return rest
	}
	return left
}

// available reads the kernel's own estimate, −1 where there is none.
func available(meminfo string) int64 {
	for line := range strings.Lines(meminfo) {
		if rest, found := strings.CutPrefix(line, "MemAvailable:"); found {
			if n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64); err == nil {
				return n << 10
			}
		}
	}
	return -1
}

// Alloc maps n zeroed bytes outside of the Go heap, whole pages.
func (d *Device) Alloc(n int) (device.Mem, error) {
	switch {
	case n < 0:
		return device.Mem{}, fmt.Errorf("cpu device: allocation of %d bytes", n)
	case n == 0:
		return device.Mem{}, nil
	}
	if p := C.cpu_alloc(d.c, C.size_t(n)); p != nil {
		return device.HostMem(unsafe.Slice((*byte)(p), n)), nil
	}
	return device.Mem{}, d.refusal(int64(C.cpu_mapped(C.size_t(n))))
}

// refusal says why n bytes cannot be had.
func (d *Device) refusal(n int64) error {
	if rest := int64(d.c.budget - d.c.used); d.c.budget > 0 && n > rest {
		return fmt.Errorf("cpu device: %d bytes do not fit in the memory budget of %d, of which %d are left: allow more or use less", n, d.c.budget, rest)
	}
	return fmt.Errorf("cpu device: the system has no memory for %d bytes: use a smaller model or batch", n)
}

// Free unmaps what Alloc returned.
func (d *Device) Free(m device.Mem) { C.cpu_free(d.c, start(m), C.size_t(m.N)) }

// Upload copies src at once.
func (d *Device) Upload(dst device.Mem, src []byte) { copy(dst.Host, src) }

// Download copies src at once.
func (d *Device) Download(dst []byte, src device.Mem) { copy(dst, src.Host) }

// Zero clears dst.
func (d *Device) Zero(dst device.Mem) { C.cpu_zero(d.c, start(dst), C.long(dst.N)) }

// Copy copies src to dst, bit by bit if they have one format.
func (d *Device) Copy(dst, src device.Tensor) {
	if dst.Format == src.Format {
		C.cpu_copy(d.c, start(dst.Mem), start(src.Mem), C.long(dst.Mem.N))
		return
	}
	C.cpu_convert(d.c, t(dst), t(src), C.long(dst.N))
}

// Swap exchanges the bytes of a and b.
func (d *Device) Swap(a, b device.Mem) { C.cpu_swap(d.c, start(a), start(b), C.long(a.N)) }

// start is m's first byte, nil for an empty Mem.
func start(m device.Mem) unsafe.Pointer {
	if m.Empty() {
		return nil
	}
	return unsafe.Pointer(unsafe.SliceData(m.Host))
}
