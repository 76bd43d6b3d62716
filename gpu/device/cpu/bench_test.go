//go:build cgo && unix

package cpu

import (
	"fmt"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

func opened(tb testing.TB, o device.Options) *Device {
	tb.Helper()
	d, err := open(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { d.Close() })
	return d
}

// filled allocates n floats of no particular value.
func filled(tb testing.TB, d *Device, n int) device.Tensor {
	tb.Helper()
	x, err := device.NewTensor(d, device.F32, n)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { d.Free(x.Mem) })
	for i := range x.Floats() {
		x.Floats()[i] = device.Uniform(1, uint64(i))*0.1 - 0.05
	}
	return x
}

// converted is filled in a format.
func converted(tb testing.TB, d *Device, f device.Format, n int) device.Tensor {
	tb.Helper()
	x, err := device.NewTensor(d, f, n)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { d.Free(x.Mem) })
	d.Copy(x, filled(tb, d, n))
	return x
}

// passOf prepares a batch.
func passOf(tb testing.TB, d *Device, b device.Batch) *device.Pass {
	tb.Helper()
	s := max(1, len(b.CuSeqlens)-1)
	checked := device.Checked(d)
	m := max(len(b.IDs), len(b.Positions), len(b.Targets))
	if len(b.CuSeqlens) > 0 {
		m = max(m, int(b.CuSeqlens[len(b.CuSeqlens)-1]))
	}
	p, err := checked.NewPass(device.Limits{M: m, S: s, N: len(b.Rows), Pages: len(b.Pages) / s})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { d.FreePass(p) })
	checked.Prepare(p, b)
	return p
}

// tables are the instruction sets that have kernels, slowest first.
var tables = []string{"portable", "avx2", "avx512", "avx512bf16", "amx"}

// eachTable runs f on a device with the kernels of every instruction set that
// this processor has, in both precisions.
func eachTable(b *testing.B, f func(b *testing.B, d *Device)) {
	for _, isa := range tables {
		for _, precision := range []string{"fp32", "bf16"} {
			b.Run(isa+"-"+precision, func(b *testing.B) {
				d, err := open(device.Options{Precision: precision, ISA: isa})
				if err != nil {
					b.Skip(err)
				}
				defer d.Close()
				f(b, d)
			})
		}
	}
}

// BenchmarkLinear measures the three products of a linear layer: y (NT), dx
// (NN) and dW (TN).
func BenchmarkLinear(b *testing.B) {
	eachTable(b, func(b *testing.B, d *Device) {
		for _, s := range [][3]int{{512, 512, 512}, {2048, 1024, 1024}, {2048, 384, 2048}, {2048, 2048, 384}, {1, 2048, 2048}, {16, 2048, 2048}} {
			m, i, o := s[0], s[1], s[2]
			b.Run(fmt.Sprintf("M=%d,I=%d,O=%d", m, i, o), func(b *testing.B) {
				x, y := filled(b, d, m*i), filled(b, d, m*o)
				w, dw := filled(b, d, o*i), filled(b, d, o*i)
				l := &device.Linear{W: device.Dense(w), I: i, O: o}
				measure := func(name string, run func()) {
					b.Run(name, func(b *testing.B) {
						for b.Loop() {
							run()
						}
						b.ReportMetric(2*float64(m)*float64(i)*float64(o)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
					})
				}
				measure("y", func() { d.Linear(y, x, m, l) })
				measure("dx", func() { d.LinearBackward(x, y, x, m, l, nil) })
				measure("dW", func() { d.LinearBackward(device.Tensor{}, y, x, m, l, &device.LinearGrad{W: dw}) })
			})
		}
	})
}

// BenchmarkCrossEntropy measures output layer and loss with all gradients.
func BenchmarkCrossEntropy(b *testing.B) {
	const m, h, v = 2048, 384, 8192
	eachTable(b, func(b *testing.B, d *Device) {
		x, dx, w, dw, loss := filled(b, d, m*h), filled(b, d, m*h), filled(b, d, v*h), filled(b, d, v*h), filled(b, d, m)
		targets := make([]int32, m)
		for i := range targets {
			targets[i] = int32(i * 7919 % v)
		}
		p := passOf(b, d, device.Batch{Targets: targets})
		for b.Loop() {
			d.CrossEntropy(loss, device.Ints{}, dx, x, p, &device.Head{W: device.Dense(w), H: h, V: v}, &device.HeadGrad{W: dw}, 1.0/m, device.Objective{})
		}
		b.ReportMetric(6*m*h*v*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	})
}

// BenchmarkAttention measures attention of 8 sequences of 256 tokens, 6 heads of
// 64 in 2 groups, the causal half counted.
func BenchmarkAttention(b *testing.B) {
	const m, t = 2048, 256
	s := device.Heads{A: 6, G: 2, D: 64}
	var starts []int32
	for i := 0; i <= m; i += t {
		starts = append(starts, int32(i))
	}
	eachTable(b, func(b *testing.B, d *Device) {
		qkv, dqkv, o, lse := filled(b, d, m*s.Width()), filled(b, d, m*s.Width()), filled(b, d, m*s.A*s.D), filled(b, d, m*s.A)
		measure := func(name string, products float64, run func()) {
			b.Run(name, func(b *testing.B) {
				for b.Loop() {
					run()
				}
				b.ReportMetric(products*float64(s.A*s.D)*m*t*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
		p := passOf(b, d, device.Batch{CuSeqlens: starts})
		measure("forward", 2, func() { d.Attention(o, lse, qkv, p, s, nil) })
		measure("backward", 5, func() { d.AttentionBackward(dqkv, o, o, lse, qkv, p, s, nil, nil) })
	})
}

// stepShape is a model and a batch of sequences of equal length.
type stepShape struct{ layers, h, a, g, f, v, batch, t int }

// BenchmarkStep runs every operator of a full training step, AdamW included.
func BenchmarkStep(b *testing.B) {
	eachTable(b, func(b *testing.B, d *Device) {
		for _, s := range []stepShape{
			{layers: 4, h: 256, a: 4, g: 2, f: 688, v: 4096, batch: 8, t: 128},
			{layers: 6, h: 384, a: 6, g: 2, f: 1024, v: 8192, batch: 8, t: 256},
		} {
			b.Run(fmt.Sprintf("layers=%d,H=%d,V=%d,B=%d,T=%d", s.layers, s.h, s.v, s.batch, s.t), func(b *testing.B) {
				step := newStep(b, d, s)
				for b.Loop() {
					step()
				}
				b.ReportMetric(float64(s.batch*s.t*b.N)/b.Elapsed().Seconds(), "tokens/s")
			})
		}
	})
}

// newStep allocates the model and returns its step. The layers share their
// activations: the work is that of a real step, its numbers are not.
func newStep(b *testing.B, d *Device, s stepShape) func() {
	m := s.batch * s.t
	heads := device.Heads{A: s.a, G: s.g, D: s.h / s.a, Rotary: s.h / s.a / 2, Base: 10000}
	var starts, pos, ids []int32
	for i := range m {
		if i%s.t == 0 {
			starts = append(starts, int32(i))
		}
		pos, ids = append(pos, int32(i%s.t)), append(ids, int32(i*7919%s.v))
	}
	starts = append(starts, int32(m))

	act := func(width int) device.Tensor { return converted(b, d, d.info.Activations, m*width) }
	x, dx, rstd, lse, nll := filled(b, d, m*s.h), filled(b, d, m*s.h), filled(b, d, m), filled(b, d, m*s.a), filled(b, d, m)
	h, sub, grad := act(s.h), act(s.h), act(s.h)
	qkv, dqkv, o := act(heads.Width()), act(heads.Width()), act(s.h)
	u, du, z, dz := act(2*s.f), act(2*s.f), act(s.f), act(s.f)

	type param struct{ w, grad, m, v device.Tensor }
	var params []param
	add := func(n int) *param {
		params = append(params, param{filled(b, d, n), filled(b, d, n), filled(b, d, n), filled(b, d, n)})
		return &params[len(params)-1]
	}
	params = make([]param, 0, 6*s.layers+3)
	type layer struct{ norm1, qkv, dense, norm2, up, down *param }
	layers := make([]layer, s.layers)
	for i := range layers {
		layers[i] = layer{add(s.h), add(heads.Width() * s.h), add(s.h * s.h), add(s.h), add(2 * s.f * s.h), add(s.h * s.f)}
	}
	embed, final, head := add(s.v*s.h), add(s.h), add(s.v*s.h)
	forward := func(y, x device.Tensor, p *param, out, in int) {
		d.Linear(y, x, m, &device.Linear{W: device.Dense(p.w), I: in, O: out})
	}
	backward := func(dx, dy, x device.Tensor, p *param, out, in int) {
		d.LinearBackward(dx, dy, x, m, &device.Linear{W: device.Dense(p.w), I: in, O: out}, &device.LinearGrad{W: p.grad})
	}
	pass := passOf(b, d, device.Batch{IDs: ids, Positions: pos, CuSeqlens: starts, Targets: ids})
	one := filled(b, d, 1)
	one.Floats()[0] = 1
	return func() {
		d.Embed(x, device.Dense(embed.w), pass, s.h)
		for _, l := range layers {
			d.RMSNorm(h, rstd, device.Tensor{}, x, device.Tensor{}, l.norm1.w, m, s.h, 1e-5)
			forward(qkv, h, l.qkv, heads.Width(), s.h)
			d.Rotary(qkv, pass, heads, false)
			d.Attention(o, lse, qkv, pass, heads, nil)
			forward(sub, o, l.dense, s.h, s.h)
			d.RMSNorm(h, rstd, x, x, sub, l.norm2.w, m, s.h, 1e-5)
			forward(u, h, l.up, 2*s.f, s.h)
			d.SwiGLU(z, u, m, s.f)
			forward(sub, z, l.down, s.h, s.f)
		}
		d.RMSNorm(h, rstd, x, x, sub, final.w, m, s.h, 1e-5)
		d.CrossEntropy(nll, device.Ints{}, sub, h, pass, &device.Head{W: device.Dense(head.w), H: s.h, V: s.v}, &device.HeadGrad{W: head.grad}, 1/float32(m), device.Objective{})
		d.Zero(dx.Mem)
		d.RMSNormBackward(dx, final.grad, sub, x, final.w, rstd, m, s.h)
		for _, l := range layers {
			d.Copy(grad, dx)
			backward(dz, grad, z, l.down, s.h, s.f)
			d.SwiGLUBackward(du, dz, u, m, s.f)
			backward(sub, du, h, l.up, 2*s.f, s.h)
			d.RMSNormBackward(dx, l.norm2.grad, sub, x, l.norm2.w, rstd, m, s.h)
			d.Copy(grad, dx)
			backward(sub, grad, o, l.dense, s.h, s.h)
			d.AttentionBackward(dqkv, sub, o, lse, qkv, pass, heads, nil, nil)
			d.Rotary(dqkv, pass, heads, true)
			backward(sub, dqkv, h, l.qkv, heads.Width(), s.h)
			d.RMSNormBackward(dx, l.norm1.grad, sub, x, l.norm1.w, rstd, m, s.h)
		}
		d.EmbedBackward(embed.grad, dx, pass, s.h)
		for _, p := range params {
			d.AdamW(device.Weights{W: p.w}, p.grad, device.Moment{V: p.m.Mem}, device.Moment{V: p.v.Mem}, one, device.AdamW{LR: 1e-6, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 10})
			d.Zero(p.grad.Mem)
		}
	}
}
