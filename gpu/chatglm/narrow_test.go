package chatglm_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/reference"
)

// TestNarrowWeightsOnADeferringDevice: weights that are uploaded as bytes give the
// same scores and come back as the same files; a fault while they are loaded
// leaves nothing behind.
func TestNarrowWeightsOnADeferringDevice(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	m, err := chatglm.New(tinyConfig(), newDeferring(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Save(base); err != nil {
		t.Fatal(err)
	}
	m.Close()
	batch := chatglm.Pack([]chatglm.Sequence{lesson(9)})
	for _, format := range []string{"bf16", "fp16", "int8", "int4", "nf4"} {
		scores := func(dev device.Device) []float32 {
			m, err := chatglm.OpenWith(base, dev, chatglm.OpenOptions{Weights: format})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			y, err := m.Logits(batch)
			if err != nil {
				t.Fatal(err)
			}
			return y
		}
		far := newDeferring(t)
		near, err := reference.Open(device.Options{Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(scores(far), scores(near)) {
			t.Errorf("%s: other scores than on the host", format)
		}
		if far.Live() > 0 {
			t.Errorf("%s: %d blocks are left", format, far.Live())
		}
		for n := 1; ; n++ {
			broken := newDeferring(t)
			broken.FailAlloc(n)
			m, err := chatglm.OpenWith(base, broken, chatglm.OpenOptions{Weights: format})
			if err == nil {
				m.Close()
				break
			}
			if broken.Live() > 0 {
				t.Errorf("%s: without memory at allocation %d, %d blocks are left", format, n, broken.Live())
			}
		}
	}
}
