//go:build cgo && unix

package cpu

/*
#cgo CFLAGS: -O3 -std=gnu11 -Wall -Wextra
#cgo LDFLAGS: -lm -lpthread
#include <stdlib.h>
#include "kernels.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"github.com/glmflow/glmflow/gpu/device"
)

// Device implements [device.Device].
type Device struct {
	c    *C.cpu
	info device.Info
	// rotary holds cos and sin for [position][pair], by base and width; grown
	// to the highest position seen.
	rotary map[rotaryKey]device.Mem
}

var _ device.Device = (*Device)(nil)

// Open starts the team with the best kernels of this processor.
func Open(o device.Options) (device.Device, error) {
	d, err := open(o, "")
	if err != nil {
		return nil, err // and no typed nil
	}
	return d, nil
}

// open uses the kernels of one instruction set; "" is the best there is.
func open(o device.Options, isa string) (*Device, error) {
	if o.Workers < 0 {
		return nil, fmt.Errorf("cpu device: %d workers: want 0 (one a core) or more", o.Workers)
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	var bf16 C.int
	switch o.Precision {
	case "":
		o.Precision = "fp32"
	case "fp32":
	case "bf16":
		bf16 = 1
	default:
		return nil, fmt.Errorf("cpu device: precision %q: want fp32 or bf16", o.Precision)
	}
	var name *C.char
	if isa != "" {
		name = C.CString(isa)
		defer C.free(unsafe.Pointer(name))
	}
	c := C.cpu_open(C.int(o.Workers), name, bf16)
	if c == nil {
		return nil, fmt.Errorf("cpu device: %d threads with kernels %q cannot be had: ask for fewer workers", o.Workers, isa)
	}
	codes(c)
	isa = C.GoString(c.isa.name)
	return &Device{
		c: c,
		info: device.Info{
			Name:      fmt.Sprintf("%s, %d workers, %s (%s)", processor(), o.Workers, o.Precision, isa),
			Kind:      "cpu/" + isa + "-" + o.Precision,
			Backend:   "cpu",
			Precision: o.Precision,
			Workers:   o.Workers,
			Memory:    int64(C.cpu_memory()),
			Features:  []string{isa},
			InPlace:   true,
		},
		rotary: map[rotaryKey]device.Mem{},
	}, nil
}

// processor is the name the system gives it.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // Linux only; elsewhere the architecture must do
	for line := range strings.Lines(string(text)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// Info describes the device.
func (d *Device) Info() device.Info { return d.info }

// Close joins the threads and frees what the device keeps for itself. Tensors
// that were not freed stay mapped. A second Close does nothing.
func (d *Device) Close() error {
	if d.c == nil {
		return nil
	}
	for _, table := range d.rotary {
		d.Free(table)
	}
	C.cpu_close(d.c)
	d.c = nil
	return nil
}

// Sync reports whether scratch memory ran out; operators are done when they
// return.
func (d *Device) Sync() error {
	if d.c.fault != 0 {
		return errors.New("cpu device: out of memory for scratch: use a smaller batch")
	}
	return nil
}

// Alloc maps n zeroed floats outside of the Go heap.
func (d *Device) Alloc(n int) (device.Mem, error) {
	if n < 0 || n > math.MaxInt/8 {
		return device.Mem{}, fmt.Errorf("cpu device: allocation of %d floats", n)
	}
	if n == 0 {
		return device.Mem{}, nil
	}
	p := C.cpu_alloc(C.size_t(4 * n))
	if p == nil {
		return device.Mem{}, fmt.Errorf("cpu device: no memory for %d floats: use a smaller model or batch", n)
	}
	return device.Mem{Host: unsafe.Slice((*float32)(p), n), N: n}, nil
}

// Free unmaps what Alloc returned.
func (d *Device) Free(m device.Mem) {
	if !m.Empty() {
		C.cpu_free(unsafe.Pointer(&m.Host[0]), C.size_t(4*m.N))
	}
}

// Upload copies host floats into dst.
func (d *Device) Upload(dst device.Mem, src []float32) {
	want("Upload", "src", len(src), dst.N)
	copy(dst.Host, src)
}

// Download copies src to host floats.
func (d *Device) Download(dst []float32, src device.Mem) {
	want("Download", "dst", len(dst), src.N)
	copy(dst, src.Host)
}

// want panics when an argument has the wrong size.
func want(operator, argument string, got, size int) {
	if got != size {
		panic(fmt.Sprintf("cpu: %s: %s has %d floats, want %d", operator, argument, got, size))
	}
}

// p is m's first float, nil for an empty Mem.
func p(m device.Mem) *C.float {
	if m.Empty() {
		return nil
	}
	return (*C.float)(unsafe.Pointer(&m.Host[0]))
}

// stored is the C form of a matrix. The formats have the same numbers there.
func stored(w device.Matrix) C.matrix {
	data := unsafe.Pointer(p(w.Floats))
	if w.Format != device.F32 {
		data = unsafe.Pointer(unsafe.SliceData(w.Raw.Host))
	}
	return C.matrix{format: C.int(w.Format), data: data, scales: p(w.Scales)}
}

// ints is x's first element, nil when there is none.
func ints(x []int32) *C.int32_t { return (*C.int32_t)(unsafe.Pointer(unsafe.SliceData(x))) }
