//go:build cgo && unix

package cpu

import (
	"fmt"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

// BenchmarkNarrowRows measures products of few rows with the 6B model's largest
// linear, in bytes of weights a second: generation is bound by memory or it is
// not done well.
func BenchmarkNarrowRows(b *testing.B) {
	const in, out = 4096, 27392
	eachTable(b, func(b *testing.B, d *Device) {
		for _, f := range []device.Format{device.F32, device.BF16, device.F16, device.Int8, device.Int4, device.NF4} {
			for _, m := range []int{1, 4} {
				b.Run(fmt.Sprintf("%v/M=%d", f, m), func(b *testing.B) {
					x, y := filled(b, d, m*in), filled(b, d, m*out)
					l := &device.Linear{W: weight(b, d, f, out, in), I: in, O: out}
					for b.Loop() {
						d.Linear(y, x, m, l)
					}
					b.ReportMetric(float64(b.N)*float64(out*f.Row(in))/b.Elapsed().Seconds()/1e9, "GB/s")
				})
			}
		}
	})
}

// BenchmarkNarrowPrompt measures products of 128 rows with a stored weight.
func BenchmarkNarrowPrompt(b *testing.B) {
	const m, in, out = 128, 2048, 5632
	eachTable(b, func(b *testing.B, d *Device) {
		for _, f := range []device.Format{device.F32, device.BF16, device.Int4} {
			b.Run(f.String(), func(b *testing.B) {
				x, y := filled(b, d, m*in), filled(b, d, m*out)
				l := &device.Linear{W: weight(b, d, f, out, in), I: in, O: out}
				for b.Loop() {
					d.Linear(y, x, m, l)
				}
				b.ReportMetric(2*m*in*out*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	})
}

// weight allocates a matrix [out,in] of no particular value.
func weight(b *testing.B, d *Device, f device.Format, out, in int) device.Matrix {
	if f == device.F32 {
		return device.Dense(filled(b, d, out*in))
	}
	w := device.Matrix{Format: f, Data: filled(b, d, (out*f.Row(in)+3)/4).Mem.Slice(0, out*f.Row(in)), Scales: filled(b, d, out*f.Scales(in))}
	for i := range w.Data.Host { // no subnormal numbers: products with them are slow, and rare in weights
		w.Data.Host[i] = byte(0x33 + i%4)
	}
	return w
}
