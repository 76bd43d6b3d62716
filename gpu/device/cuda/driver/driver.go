//go:build cuda && cgo && linux && (amd64 || arm64)

package driver

// #cgo LDFLAGS: -L${SRCDIR}/lib -ldl
// #include <stdlib.h>
// char *glmflow_cuda_load(const char *library);
import "C"

import (
	"errors"
	"unsafe"
)

// Library is the name under which Linux finds the driver.
const Library = "libcuda.so.1"

// Load opens the driver under the given name or path and initialises it; cu's
// functions work from then on. A process has one driver: once a Load succeeded,
// further ones do nothing. The error says what the dynamic linker or the driver
// said.
func Load(library string) error {
	name := C.CString(library)
	defer C.free(unsafe.Pointer(name))
	if message := C.glmflow_cuda_load(name); message != nil {
		defer C.free(unsafe.Pointer(message))
		return errors.New(C.GoString(message))
	}
	return nil
}
