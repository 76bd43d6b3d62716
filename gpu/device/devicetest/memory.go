package devicetest

import (
	"bytes"
	"testing"
	"unsafe"

	"github.com/glmflow/glmflow/gpu/device"
)

func info(t *testing.T, d device.Device) {
	i := d.Info()
	if i.Name == "" || i.Kind == "" || i.Backend == "" {
		t.Errorf("info %+v: name, kind and backend must say what the device is", i)
	}
	if i.Precision != "fp32" && i.Precision != "bf16" {
		t.Errorf("precision %q: want fp32 or bf16", i.Precision)
	}
	for _, f := range []device.Format{i.Activations, i.Residual} {
		if f != device.F32 && f != device.BF16 {
			t.Errorf("activations in %v, the residual stream in %v: want fp32 or bf16", i.Activations, i.Residual)
		}
	}
}

// alloc is n bytes for the time of a test.
func alloc(t *testing.T, d device.Device, n int) device.Mem {
	t.Helper()
	m, err := d.Alloc(n)
	if err != nil {
		t.Fatalf("alloc: %v", err)
	}
	t.Cleanup(func() { d.Free(m) })
	return m
}

func settle(t *testing.T, d device.Device) {
	t.Helper()
	if err := d.Sync(); err != nil {
		t.Fatalf("sync: %v", err)
	}
}

// address is where memory begins, wherever it lies.
func address(m device.Mem) uint64 {
	return m.Addr | uint64(uintptr(unsafe.Pointer(unsafe.SliceData(m.Host))))
}

// noise is n bytes.
func noise(name string, n int) []byte {
	r, b := random(name), make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// memory: fresh memory is zero and aligned, of any size, and runs of it are
// filled, cleared and copied by themselves.
func memory(t *testing.T, d device.Device) {
	for _, n := range []int{1, 3, 4, 255, 256, 257, 1001, 1 << 20} {
		a := alloc(t, d, n)
		if a.N != n {
			t.Errorf("allocation of %d bytes has %d", n, a.N)
		}
		if at := address(a); at%device.Alignment != 0 {
			t.Errorf("allocation of %d bytes begins at %#x: want a multiple of %d", n, at, device.Alignment)
		}
		got := bytes.Repeat([]byte{1}, n)
		d.Download(got, a)
		settle(t, d)
		if at := differs(got, make([]byte, n)); at >= 0 {
			t.Errorf("byte %d of %d fresh ones is %#02x, want 0", at, n, got[at])
		}
		d.Upload(a, noise("used", n)) // and so is memory that was used before
	}
	x := noise("memory", 4001)
	a := alloc(t, d, len(x))
	d.Upload(a, x)
	y := noise("part", 33)
	d.Upload(a.Slice(64, 97), y)
	d.Zero(a.Slice(160, 1001))
	d.Upload(a.Slice(2000, 2000), nil)
	d.Zero(device.Mem{})
	d.Swap(a.Slice(2000, 2101), a.Slice(3008, 3109))
	part, whole := make([]byte, 7), make([]byte, len(x))
	d.Download(part, a.Slice(96, 103))
	d.Download(whole, a)
	settle(t, d)
	want := bytes.Clone(x)
	copy(want[64:], y)
	for i := 160; i < 1001; i++ {
		want[i] = 0
	}
	copy(want[2000:2101], x[3008:3109])
	copy(want[3008:3109], x[2000:2101])
	if at := differs(whole, want); at >= 0 {
		t.Errorf("after uploads, zeros and a swap, byte %d is %#02x, want %#02x", at, whole[at], want[at])
	}
	if at := differs(part, want[96:103]); at >= 0 {
		t.Errorf("byte %d of a part is %#02x, want %#02x", at, part[at], want[96+at])
	}
	if _, err := d.Alloc(-1); err == nil {
		t.Error("allocation of -1 bytes succeeded")
	}
	empty, err := d.Alloc(0)
	if err != nil || !empty.Empty() {
		t.Errorf("allocation of nothing: %v, %v", empty, err)
	}
	d.Free(empty)
	settle(t, d)
}
