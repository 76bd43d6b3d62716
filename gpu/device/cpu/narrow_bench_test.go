//go:build cgo && unix

package cpu

import (
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

// BenchmarkNarrowRows measures products of few rows with the 6B model's largest
// linear, in bytes of weights a second: generation is bound by memory or it is
// not done well.
func BenchmarkNarrowRows(b *testing.B) {
	const in, out = 4096, 27392
	for _, f := range []device.Format{device.F32, device.BF16, device.F16, device.Int8, device.Int4, device.NF4} {
		for _, m := range []int{1, 4} {
			b.Run(f.String()+"/M="+string(rune('0'+m)), func(b *testing.B) {
				d := opened(b, device.Options{})
				w := device.Dense(filled(b, d, in*out))
				if f != device.F32 {
					w = device.Matrix{Format: f, Raw: filled(b, d, (out*f.Row(in)+3)/4).Bytes(out * f.Row(in)), Scales: filled(b, d, out*f.Scales(in))}
					for i := range w.Raw.Host { // no subnormal numbers: products with them are slow, and rare in weights
						w.Raw.Host[i] = byte(0x33 + i%4)
					}
				}
				x, y := filled(b, d, m*in), filled(b, d, m*out)
				l := &device.Linear{W: w, I: in, O: out}
				for b.Loop() {
					d.Linear(y, x, m, l)
				}
				b.ReportMetric(float64(b.N)*float64(out*f.Row(in))/b.Elapsed().Seconds()/1e9, "GB/s")
			})
		}
	}
}
