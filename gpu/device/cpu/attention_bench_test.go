//go:build cgo && unix

package cpu

import (
	"fmt"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

// BenchmarkCached measures attention over a cache with the heads of ChatGLM3-6B:
// a prompt of 2,048 tokens, and a step of decoding for four sequences as long.
func BenchmarkCached(b *testing.B) {
	const tokens = 2048
	s := device.Heads{A: 32, G: 2, D: 128}
	eachTable(b, func(b *testing.B, d *Device) {
		for _, c := range []struct {
			name            string
			sequences, rows int
		}{{"prompt", 1, tokens}, {"decode", 4, 1}} {
			each := tokens / device.PagePositions
			batch := device.Batch{CuSeqlens: []int32{0}}
			for i := range c.sequences {
				batch.CuSeqlens = append(batch.CuSeqlens, int32((i+1)*c.rows))
				batch.Past = append(batch.Past, int32(tokens-c.rows))
				for p := range each {
					batch.Pages = append(batch.Pages, int32(i*each+p))
				}
			}
			for _, f := range []device.Format{device.F32, device.BF16} {
				tensor := func(n int) device.Tensor {
					x, err := device.NewTensor(d, f, n)
					if err != nil {
						b.Fatal(err)
					}
					b.Cleanup(func() { d.Free(x.Mem) })
					d.Copy(x, filled(b, d, n))
					return x
				}
				m := c.sequences * c.rows
				qkv, o := tensor(m*s.Width()), tensor(m*s.A*s.D)
				k, v := tensor(c.sequences*tokens*s.G*s.D), tensor(c.sequences*tokens*s.G*s.D)
				p := passOf(b, d, batch)
				b.Run(fmt.Sprintf("%s/%v", c.name, f), func(b *testing.B) {
					for b.Loop() {
						d.AttentionCached(o, qkv, device.Cache{K: k, V: v}, p, s, nil)
					}
					b.ReportMetric(float64(m*b.N)/b.Elapsed().Seconds(), "rows/s")
				})
			}
		}
	})
}
