//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/glmflow/glmflow/gpu/device/cuda/driver"
)

// probeBytes is how much memory [Probe] copies to every device and back.
const probeBytes = 1 << 20

// Probe loads the driver, lists its devices and copies 1 MiB to each and back.
// The error is that of the driver as a whole; a device that cannot be used says
// why in its own entry. Without a driver the error is what the dynamic linker
// said.
func Probe() (Report, error) { return probe(driver.Library) }

func probe(library string) (Report, error) {
	if err := driver.Load(library); err != nil {
		return Report{}, fmt.Errorf("load driver: %w", err)
	}
	version := cu.Version()
	if version < 0 {
		return Report{}, errors.New("ask driver for its version: it refuses")
	}
	report := Report{Driver: fmt.Sprintf("%d.%d", version/1000, version%1000/10)}
	count, err := cu.NumDevices()
	if err != nil {
		return report, fmt.Errorf("count devices: %w", err)
	}
	for ordinal := range count {
		report.Devices = append(report.Devices, examine(ordinal))
	}
	return report, nil
}

// examine asks one device everything a [GPU] holds.
func examine(ordinal int) (g GPU) {
	// A context belongs to the thread that set it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	dev, err := cu.GetDevice(ordinal)
	if err != nil {
		g.Err = fmt.Errorf("get device %d: %w", ordinal, err)
		return g
	}
	var errs [4]error
	var major, minor int
	g.Name, errs[0] = dev.Name()
	g.Memory, errs[1] = dev.TotalMem()
	major, errs[2] = dev.Attribute(cu.ComputeCapabilityMajor)
	minor, errs[3] = dev.Attribute(cu.ComputeCapabilityMinor)
	g.Capability = fmt.Sprintf("%d.%d", major, minor)
	if id, err := dev.UUID(); err == nil { // drivers of virtual devices may have none
		g.UUID = id.String()
	}
	if err := errors.Join(errs[:]...); err != nil {
		g.Err = fmt.Errorf("describe device %d: %w", ordinal, err)
		return g
	}

	ctx, err := dev.RetainPrimaryCtx()
	if err != nil {
		g.Err = fmt.Errorf("open context of device %d: %w", ordinal, err)
		return g
	}
	defer func() {
		if err := dev.ReleasePrimaryCtx(); err != nil && g.Err == nil {
			g.Err = fmt.Errorf("close context of device %d: %w", ordinal, err)
		}
	}()
	if err := cu.SetCurrentContext(ctx); err != nil {
		g.Err = fmt.Errorf("use context of device %d: %w", ordinal, err)
		return g
	}
	if g.Free, _, err = cu.MemInfo(); err != nil {
		g.Err = fmt.Errorf("ask device %d for its free memory: %w", ordinal, err)
		return g
	}
	if err := copyBack(); err != nil {
		g.Err = fmt.Errorf("copy to device %d and back: %w", ordinal, err)
		return g
	}
	g.Copied = probeBytes
	return g
}

// copyBack sends a pattern to the current device and compares what comes back.
func copyBack() error {
	sent, got := make([]byte, probeBytes), make([]byte, probeBytes)
	for i := range sent {
		sent[i] = byte(i*31 + i>>8)
	}
	memory, err := cu.MemAlloc(probeBytes)
	if err != nil {
		return err
	}
	err = cu.MemcpyHtoD(memory, unsafe.Pointer(&sent[0]), probeBytes)
	if err == nil {
		err = cu.MemcpyDtoH(unsafe.Pointer(&got[0]), memory, probeBytes)
	}
	if free := cu.MemFree(memory); err == nil {
		err = free
	}
	if err == nil && !bytes.Equal(sent, got) {
		err = errors.New("the bytes that came back are not those that were sent")
	}
	return err
}
