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
	d, err := open(device.Options{}, "")
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	alloc := func(n int) device.Mem {
		m, err := d.Alloc(n)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { d.Free(m) })
		return m
	}
	p, g := alloc(n), alloc(n)
	for i := range g.Host {
		g.Host[i] = device.Uniform(1, uint64(i)) - 0.5
	}
	for _, narrow := range []bool{false, true} {
		moment := func() device.Moment {
			v, scale := device.MomentSizes(n, narrow)
			return device.Moment{V: alloc(v), Scale: alloc(scale)}
		}
		m, v := moment(), moment()
		for name, step := range map[string]func(int){
			"AdamW": func(i int) {
				d.AdamW(p, g, m, v, device.AdamW{LR: 1e-6, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: i + 1, GradScale: 1})
			},
			"SGD":  func(int) { d.SGD(p, g, m, device.SGD{LR: 1e-6, Momentum: 0.9, GradScale: 1}) },
			"Lion": func(int) { d.Lion(p, g, m, device.Lion{LR: 1e-6, Beta1: 0.9, Beta2: 0.99, GradScale: 1}) },
		} {
			b.Run(fmt.Sprintf("%s/narrow=%t", name, narrow), func(b *testing.B) {
				for i := range b.N {
					step(i)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/weight")
			})
		}
	}
}
