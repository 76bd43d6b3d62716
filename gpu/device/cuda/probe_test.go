//go:build cuda && cgo && linux && (amd64 || arm64)

package cuda

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/gpu/device"
)

// buildDriver compiles the driver of testdata.
func buildDriver(t *testing.T) string {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("needs gcc:", err)
	}
	library := filepath.Join(t.TempDir(), "libcuda.so.1")
	out, err := exec.Command(gcc, "-shared", "-fPIC", "-Wall", "-Iinclude", "-o", library, "testdata/libcuda.c").CombinedOutput()
	if err != nil {
		t.Fatalf("build the test's driver: %v\n%s", err, out)
	}
	return library
}

// TestProbe goes through the life of one process: that it came this far shows
// that cu's start did not end it. A driver that was loaded stays, so the order
// matters.
func TestProbe(t *testing.T) {
	if _, err := probe("no-such-libcuda.so.1"); err == nil || !strings.Contains(err.Error(), "no-such-libcuda.so.1: cannot open shared object file") {
		t.Errorf("without a driver: %v", err)
	}
	if _, err := probe("libm.so.6"); err == nil || !strings.Contains(err.Error(), "no function cuInit") {
		t.Errorf("with another library: %v", err)
	}

	library := buildDriver(t)
	t.Setenv("FAKE_CUDA_FAULT", "init")
	if _, err := probe(library); err == nil || !strings.Contains(err.Error(), "cuInit: no CUDA-capable device is detected (100)") {
		t.Errorf("with a driver that does not start: %v", err)
	}

	t.Setenv("FAKE_CUDA_FAULT", "")
	want := GPU{
		Name: "Fake GPU", UUID: "00010203-0405-0607-0809-0a0b0c0d0e0f", Capability: "9.0",
		Memory: 8 << 30, Free: 8 << 30, Copied: 1 << 20,
	}
	for range 2 { // the second time finds the driver loaded and nothing leaked
		got, err := probe(library)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(Report{Driver: "12.8", Devices: []GPU{want}}, got); diff != "" {
			t.Errorf("report (-want +got)\n%s", diff)
		}
	}

	for fault, reason := range map[string]string{
		"memory":  "OutOfMemory",
		"corrupt": "not those that were sent",
	} {
		t.Setenv("FAKE_CUDA_FAULT", fault)
		got, err := probe(library)
		if err != nil {
			t.Fatal(err)
		}
		if g := got.Devices[0]; g.Copied != 0 || g.Err == nil || !strings.Contains(g.Err.Error(), reason) {
			t.Errorf("fault %s: %+v, want an error with %q", fault, g, reason)
		}
	}

	t.Setenv("FAKE_CUDA_FAULT", "")
	if _, err := Open(device.Options{}); err == nil || !strings.Contains(err.Error(), "Fake GPU is here, but") {
		t.Errorf("Open: %v", err)
	}
}
