package chatglm_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
)

// TestNarrowWeightsOnARemoteDevice: weights that are uploaded as bytes give the
// same scores and come back as the same files; a fault while they are loaded
// leaves nothing behind.
func TestNarrowWeightsOnARemoteDevice(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	m, err := chatglm.New(tinyConfig(), newRemote(t), 1)
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
		far := newRemote(t)
		if !slices.Equal(scores(far), scores(far.on)) {
			t.Errorf("%s: other scores than on the host", format)
		}
		if len(far.blocks) > 0 {
			t.Errorf("%s: %d blocks are left", format, len(far.blocks))
		}
		for n := 1; ; n++ {
			broken := newRemote(t)
			broken.noAlloc = n
			m, err := chatglm.OpenWith(base, broken, chatglm.OpenOptions{Weights: format})
			if err == nil {
				m.Close()
				break
			}
			if len(broken.blocks) > 0 {
				t.Errorf("%s: without memory at allocation %d, %d blocks are left", format, n, len(broken.blocks))
			}
		}
	}
}
