package finetune

import (
	"testing"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/cpu"
)

// BenchmarkCheckpoint saves to a directory, and goes on from there, what a
// training of the demo's shape keeps after a validation.
func BenchmarkCheckpoint(b *testing.B) {
	shape, _ := chatglm.Shape("demo")
	for _, method := range []string{LoRA, Full} {
		dev, err := cpu.Open(device.Options{})
		if err != nil {
			b.Skip(err)
		}
		b.Cleanup(func() { dev.Close() })
		m, err := chatglm.New(shape, dev, 1)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(m.Close)
		o := DefaultOptions()
		o.Method, o.EMA = method, 0.999
		r, err := newRun(m, counting(24, 0, 1), counting(6, 3, 1), o, Hooks{State: Dir(b.TempDir())})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(r.updater.close)
		if err := r.validate(b.Context()); err != nil {
			b.Fatal(err)
		}
		bytes := int64(0)
		for _, t := range r.outputs() {
			bytes += 4 * int64(t.Shape[0])
		}
		b.Run("save/"+method, func(b *testing.B) {
			b.SetBytes(bytes)
			for b.Loop() {
				if err := r.save(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("resume/"+method, func(b *testing.B) {
			b.SetBytes(bytes)
			for b.Loop() {
				if err := r.resume(b.Context()); err != nil || r.best == nil {
					b.Fatal(err)
				}
			}
		})
	}
}
