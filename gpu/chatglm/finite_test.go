package chatglm

import (
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/reference"
)

// TestCheckFiniteNamesTheWeight puts one bad number into one weight of a model's
// files, in every format: it is found wherever the format keeps numbers that can
// be bad, and a whole model passes.
func TestCheckFiniteNamesTheWeight(t *testing.T) {
	c, _ := Shape("tiny")
	for _, format := range InitFormats() {
		dir := t.TempDir()
		if err := Init(t.Context(), dir, c, InitOptions{Format: format}); err != nil {
			t.Fatal(err)
		}
		check := func(weights string) error {
			dev, err := reference.Open(device.Options{Workers: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer dev.Close()
			m, err := OpenWith(dir, dev, OpenOptions{Weights: weights})
			if err != nil {
				return err
			}
			defer m.Close()
			return m.CheckFinite()
		}
		if err := check("stored"); err != nil {
			t.Errorf("%s: %v", format, err)
		}
		name := layerName(1, "mlp.dense_4h_to_h.weight")
		quantised := format == "int8" || format == "int4"
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(-1))} {
			if quantised { // opening looks at every scale
				spoil(t, filepath.Join(dir, "model.safetensors"), spec{name: name}.scaleName(), bad)
				if err := check("stored"); err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("%s with a scale of %g: error %v, want one that names %s", format, bad, err, name)
				}
				continue
			}
			spoil(t, filepath.Join(dir, "model.safetensors"), name, bad)
			for _, weights := range []string{"stored", "fp32", "bf16", "fp16"} {
				err := check(weights)
				if !errors.Is(err, ErrNotFinite) || !strings.Contains(err.Error(), fmt.Sprintf("weight %s are", name)) {
					t.Errorf("%s kept as %s with %g: error %v, want one that names %s", format, weights, bad, err, name)
				}
			}
		}
	}
}

// spoil makes the third number of a tensor in a file bad.
func spoil(t *testing.T, path, name string, bad float32) {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []safetensors.Output
	for _, s := range f.Tensors() {
		o := safetensors.Output{Name: s.Name, Shape: s.Shape, DType: s.DType}
		if s.Name == name {
			o.Read = func(dst []float32) error {
				err := f.Read(name, dst)
				dst[2] = bad
				return err
			}
		} else {
			raw, err := f.Map(s.Name)
			if err != nil {
				t.Fatal(err)
			}
			o.Stream = func(w io.Writer) error { _, err := w.Write(raw); return err }
		}
		out = append(out, o)
	}
	if err := safetensors.Create(path, out, f.Metadata()); err != nil {
		t.Fatal(err)
	}
}
