package gpu_test

import (
	"testing"

	"github.com/glmflow/glmflow/gpu"
	"github.com/glmflow/glmflow/gpu/device"
)

func TestOpen(t *testing.T) {
	for _, backend := range []string{"", "auto", "reference"} {
		d, err := gpu.Open(backend, device.Options{Workers: 1})
		if err != nil {
			t.Errorf("open %q: %v", backend, err)
			continue
		}
		if i := d.Info(); i.Workers != 1 || i.Precision != "fp32" {
			t.Errorf("open %q: %+v: want one worker and fp32", backend, i)
		}
		if err := d.Close(); err != nil {
			t.Errorf("close %q: %v", backend, err)
		}
	}
	for _, c := range []struct {
		backend string
		options device.Options
	}{
		{"tpu", device.Options{}},
		{"auto", device.Options{Precision: "fp8"}},
		{"cpu", device.Options{Workers: -1}},
		{"reference", device.Options{Precision: "fp8"}},
	} {
		if d, err := gpu.Open(c.backend, c.options); err == nil || d != nil {
			t.Errorf("open %q with %+v: got %v, %v; want an error", c.backend, c.options, d, err)
		}
	}
}
