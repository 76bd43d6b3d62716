//go:build cgo && unix

package cpu

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/glmflow/glmflow/gpu/device"
)

// processorTime is what this process has used: on a machine that others use as
// well it says more than the clock does.
func processorTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRows measures the operators that go along rows, in processor time of
// one worker for each number of the widest operand.
func BenchmarkRows(b *testing.B) {
	const m, h = 1024, 4096
	s := device.Heads{A: 24, G: 4, D: 128, Rotary: 64, Base: 10000}
	positions := make([]int32, m)
	for i := range positions {
		positions[i] = int32(i)
	}
	for _, f := range []device.Format{device.F32, device.BF16} {
		d := opened(b, device.Options{Workers: 1})
		act := func(n int) device.Tensor { return converted(b, d, f, n) }
		p := passOf(b, d, device.Batch{Positions: positions, IDs: positions, Rows: positions})
		x, y, res, w, dw, rstd := filled(b, d, m*h), act(m*h), act(m*h), filled(b, d, h), filled(b, d, h), filled(b, d, m)
		u, du, z, wide, qkv := act(2*m*h), act(2*m*h), act(m*h), filled(b, d, m*h), act(m*s.Width())
		table := device.Dense(act(m * h))
		for _, c := range []struct {
			name    string
			numbers int
			run     func()
		}{
			{"RMSNorm", m * h, func() { d.RMSNorm(y, rstd, x, x, res, w, m, h, 1e-5) }},
			{"RMSNormBackward", m * h, func() { d.RMSNormBackward(x, dw, y, x, w, rstd, m, h) }},
			{"SwiGLU", 2 * m * h, func() { d.SwiGLU(z, u, m, h) }},
			{"SwiGLUBackward", 2 * m * h, func() { d.SwiGLUBackward(du, z, u, m, h) }},
			{"Rotary", m * s.Width(), func() { d.Rotary(qkv, p, s, false) }},
			{"Embed", m * h, func() { d.Embed(x, table, p, h) }},
			{"EmbedBackward", m * h, func() { d.EmbedBackward(x, x, p, h) }},
			{"Copy", m * h, func() { d.Copy(y, wide) }},
			{"Noise", m * h, func() { d.Noise(y, p, h, 1e-6, 1) }},
		} {
			b.Run(fmt.Sprintf("%s/%v", c.name, f), func(b *testing.B) {
				before := processorTime(b)
				for range b.N {
					c.run()
				}
				b.ReportMetric(float64(processorTime(b)-before)/float64(b.N)/float64(c.numbers), "ns/number")
			})
		}
	}
}
