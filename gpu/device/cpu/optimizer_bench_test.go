//go:build cgo && unix

package cpu

import (
	"fmt"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

// BenchmarkOptimizers steps sixteen million weights, too many for any cache.
func BenchmarkOptimizers(b *testing.B) {
	const n = 16 << 20
	d, err := open(device.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	alloc := func(f device.Format, n int) device.Tensor {
		x, err := device.NewTensor(d, f, n)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { d.Free(x.Mem) })
		return x
	}
	one := filled(b, d, 1)
	one.Floats()[0] = 1
	for _, f := range []device.Format{device.F32, device.BF16} {
		w, g := device.Weights{W: alloc(f, n)}, alloc(f, n)
		if f == device.BF16 {
			w.Low = alloc(f, n).Mem
		}
		random := filled(b, d, n)
		d.Copy(g, random)
		for _, narrow := range []bool{false, true} {
			moment := func() device.Moment {
				v, scale := device.MomentBytes(n, narrow)
				return device.Moment{V: alloc(device.F32, v/4).Mem, Scale: alloc(device.F32, scale/4)}
			}
			m, v := moment(), moment()
			for _, c := range []struct {
				name string
				step func(int)
			}{
				{"AdamW", func(i int) {
					d.AdamW(w, g, m, v, one, device.AdamW{LR: 1e-6, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: i + 1})
				}},
				{"SGD", func(int) { d.SGD(w, g, m, one, device.SGD{LR: 1e-6, Momentum: 0.9}) }},
				{"Lion", func(int) { d.Lion(w, g, m, one, device.Lion{LR: 1e-6, Beta1: 0.9, Beta2: 0.99}) }},
			} {
				b.Run(fmt.Sprintf("%s/%v/narrow=%t", c.name, f, narrow), func(b *testing.B) {
					for i := range b.N {
						c.step(i)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/weight")
				})
			}
		}
	}
}
