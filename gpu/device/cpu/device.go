//go:build cgo && unix

package cpu

/*
#cgo CFLAGS: -O3 -std=gnu11 -Wall -Wextra
#cgo LDFLAGS: -lm -lpthread
#include "kernels.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/glmflow/glmflow/gpu/device"
)

// revision counts the changes of kernels that changed bits.
const revision = 2

// Device implements [device.Device]. Its operators are done when they return.
type Device struct {
	c      *C.cpu
	info   device.Info
	rotary map[rotaryKey]device.Mem // cos and sin for [position][pair][2]
}

var _ device.Device = (*Device)(nil)

// Open starts the team, with the best kernels of this processor or those of
// o.ISA.
func Open(o device.Options) (device.Device, error) {
	d, err := open(o)
	if err != nil {
		return nil, err // and no typed nil
	}
	return device.Checked(d), nil
}

func open(o device.Options) (*Device, error) {
	if o.Workers < 0 {
		return nil, fmt.Errorf("cpu device: %d workers: want 0 (one a core) or more", o.Workers)
	}
	if o.Ordinal != 0 {
		return nil, fmt.Errorf("cpu device: ordinal %d: a host has one device, 0", o.Ordinal)
	}
	if o.Budget < 0 {
		return nil, fmt.Errorf("cpu device: a budget of %d bytes: want 0 (all there is) or more", o.Budget)
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	activations, bf16 := device.F32, C.int(0)
	switch o.Precision {
	case "":
		o.Precision = "fp32"
	case "fp32":
	case "bf16":
		activations, bf16 = device.BF16, 1
	default:
		return nil, fmt.Errorf("cpu device: precision %q: want fp32 or bf16", o.Precision)
	}
	kernels, err := kernels(o.ISA)
	if err != nil {
		return nil, err
	}
	c := C.cpu_open(C.int(o.Workers), kernels, bf16, C.int64_t(o.Budget))
	if c == nil {
		return nil, fmt.Errorf("cpu device: the system has no %d threads: ask for fewer workers", o.Workers)
	}
	codes(c)
	isa := C.GoString(kernels.name)
	return &Device{
		c: c,
		info: device.Info{
			Name:        fmt.Sprintf("%s, %d workers, %s (%s)", processor(), o.Workers, o.Precision, isa),
			Kind:        fmt.Sprintf("cpu%d/%s-%s", revision, target(isa), o.Precision),
			Backend:     "cpu",
			Precision:   o.Precision,
			Workers:     o.Workers,
			Memory:      int64(C.cpu_memory()),
			Features:    []string{isa},
			InPlace:     true,
			Activations: activations,
			Residual:    device.F32,
		},
		rotary: map[rotaryKey]device.Mem{},
	}, nil
}

// kernels is the named table, or the first there is.
func kernels(isa string) (*C.isa, error) {
	var names []string
	for i := C.int(0); ; i++ {
		table := C.isa_at(i)
		if table == nil {
			return nil, fmt.Errorf("cpu device: instruction set %q: this processor has kernels for %s", isa, strings.Join(names, ", "))
		}
		name := C.GoString(table.name)
		if isa == "" || isa == name {
			return table, nil
		}
		names = append(names, name)
	}
}

// target names the machine code of a table of kernels: the portable one is
// another on each architecture.
func target(isa string) string {
	if isa == "portable" {
		return isa + "-" + runtime.GOARCH
	}
	return isa
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

// Close joins the threads and frees what the device keeps for itself. Memory
// that was not freed stays mapped and can be freed later. A second Close does nothing.
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

// Do runs f: any thread may call the kernels.
func (d *Device) Do(f func() error) error { return f() }

// Sync reports whether scratch memory ran out.
func (d *Device) Sync() error {
	if d.faulty() {
		return errors.New("cpu device: out of memory for scratch: use a smaller batch or a larger budget")
	}
	return nil
}

func (d *Device) faulty() bool { return d.c.fault != 0 }

// t is the C form of a tensor; an empty one has no data.
func t(x device.Tensor) C.tensor {
	return C.tensor{format: C.int(x.Format), data: start(x.Mem)}
}

// f is x's first float, nil for an empty tensor.
func f(x device.Tensor) *C.float { return (*C.float)(start(x.Mem)) }

// stored is the C form of a matrix. The formats have the same numbers there.
func stored(w device.Matrix) C.matrix {
	return C.matrix{format: C.int(w.Format), data: start(w.Data), scales: f(w.Scales)}
}
