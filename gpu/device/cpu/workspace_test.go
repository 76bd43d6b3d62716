//go:build cgo && unix

package cpu

import (
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

// TestWorkspaceOfParts: bounds may leave out what a pass does not have, and what
// has more needs no less.
func TestWorkspaceOfParts(t *testing.T) {
	d := opened(t, device.Options{Workers: 2})
	var b device.Bounds
	last := d.Workspace(b)
	for _, c := range []struct {
		name string
		more func()
	}{
		{"rows", func() { b.M, b.S, b.N = 300, 3, 5 }},
		{"layers", func() {
			b.Hidden, b.FFN = 64, 96
			b.Heads = device.Heads{A: 4, G: 2, D: 16, Rotary: 8, Base: 10000}
		}},
		{"a vocabulary", func() { b.Vocabulary = 1000 }},
		{"a prefix", func() { b.Prefix, b.PrefixWidth = 20, 128 }},
		{"gradients", func() { b.Backward, b.FullGradients = true, true }},
		{"branches", func() { b.Rank = 8 }},
		{"dropout", func() { b.Dropout = true }},
		{"a reference", func() { b.Reference = true }},
		{"more rows", func() { b.M = 3000 }},
	} {
		c.more()
		now := d.Workspace(b)
		if now < last {
			t.Errorf("with %s: %d bytes, %d without", c.name, now, last)
		}
		last = now
	}
	if d.c.used != 0 {
		t.Errorf("rehearsals took %d bytes", d.c.used)
	}
}

// TestWorkspaceOfAnswers: a pass with a cache takes nothing more than what was
// reserved for it, be it long or of one row a sequence.
func TestWorkspaceOfAnswers(t *testing.T) {
	s := device.Heads{A: 4, G: 2, D: 16, Rotary: 8, Base: 10000}
	const h, v, pages = 64, 500, 3
	for _, f := range []device.Format{device.F32, device.BF16} {
		d := opened(t, device.Options{Workers: 3})
		b := device.Bounds{
			Limits: device.Limits{M: 300, S: 2, N: 2, Pages: pages}, Hidden: h, FFN: 96, Vocabulary: v, Heads: s,
			Prefix: 20, PrefixWidth: 128, Activations: f, Residual: device.F32,
		}
		if err := d.Reserve(b); err != nil {
			t.Fatal(err)
		}
		x, o, qkv := converted(t, d, f, b.M*h), converted(t, d, f, b.M*h), converted(t, d, f, b.M*s.Width())
		scores := filled(t, d, b.N*v)
		cache := device.Cache{K: converted(t, d, f, 2*pages*device.PagePositions*s.G*s.D), V: converted(t, d, f, 2*pages*device.PagePositions*s.G*s.D)}
		prefix := &device.Prefix{Table: filled(t, d, 20*128), N: 20, Stride: 128, V: s.G * s.D}
		w, head := converted(t, d, f, s.Width()*h), converted(t, d, f, v*h)
		for _, starts := range [][]int32{{0, 100, 300}, {0, 40, 100}, {0, 5, 9}, {0, 1, 2}} {
			m := int(starts[2])
			positions := make([]int32, m)
			p := passOf(t, d, device.Batch{
				Positions: positions, CuSeqlens: starts, Rows: []int32{starts[1] - 1, starts[2] - 1},
				Past: []int32{100, 90}, Pages: []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
			})
			before := d.c.used
			d.Linear(qkv.Slice(0, m*s.Width()), x.Slice(0, m*h), m, &device.Linear{W: device.Dense(w), I: h, O: s.Width()})
			d.Rotary(qkv.Slice(0, m*s.Width()), p, s, false)
			d.AttentionCached(o.Slice(0, m*h), qkv.Slice(0, m*s.Width()), cache, p, s, prefix)
			d.Gather(x.Slice(0, 2*h), o.Slice(0, m*h), p, h)
			d.Linear(scores, x.Slice(0, 2*h), 2, &device.Linear{W: device.Dense(head), I: h, O: v})
			if err := d.Sync(); err != nil {
				t.Fatal(err)
			}
			if d.c.used != before {
				t.Errorf("%v, %d rows: %d bytes beside what was reserved", f, m, d.c.used-before)
			}
		}
	}
}

// TestWorkspaceOfTraining: batches that are smaller than the largest take nothing
// more, either.
func TestWorkspaceOfTraining(t *testing.T) {
	s := device.Heads{A: 4, G: 2, D: 16, Rotary: 8, Base: 10000}
	const most, h, v, rank = 300, 64, 500, 8
	for _, f := range []device.Format{device.F32, device.BF16} {
		d := opened(t, device.Options{Workers: 3, Precision: "bf16"})
		b := device.Bounds{
			Limits: device.Limits{M: most, S: 2}, Hidden: h, FFN: 96, Vocabulary: v, Heads: s,
			Activations: f, Residual: device.F32, Backward: true, Rank: rank, Dropout: true, Reference: true,
		}
		if err := d.Reserve(b); err != nil {
			t.Fatal(err)
		}
		x, o, qkv := converted(t, d, f, most*h), converted(t, d, f, most*h), converted(t, d, f, most*s.Width())
		w, head := filled(t, d, s.Width()*h), filled(t, d, v*h)
		u, du, lse, loss := filled(t, d, most*rank), filled(t, d, most*rank), filled(t, d, most*s.A), filled(t, d, most)
		a, bb, da, db := filled(t, d, rank*h), filled(t, d, s.Width()*rank), filled(t, d, rank*h), filled(t, d, s.Width()*rank)
		for _, m := range []int{most, 130, 100, 9} {
			p := passOf(t, d, device.Batch{CuSeqlens: []int32{0, int32(m / 3), int32(m)}, Targets: make([]int32, m)})
			before := d.c.used
			x, o, qkv := x.Slice(0, m*h), o.Slice(0, m*h), qkv.Slice(0, m*s.Width())
			l := &device.Linear{W: device.Dense(w), I: h, O: s.Width(), LoRA: &device.LoRA{A: a, B: bb, U: u.Slice(0, m*rank), R: rank, Scale: 1, Dropout: 0.5}}
			d.Linear(qkv, x, m, l)
			d.Attention(o, lse.Slice(0, m*s.A), qkv, p, s, nil)
			d.CrossEntropy(loss.Slice(0, m), device.Ints{}, x, o, p, &device.Head{W: device.Dense(head), H: h, V: v}, nil, 1, device.Objective{KL: 1, Reference: x})
			d.AttentionBackward(qkv, x, o, lse.Slice(0, m*s.A), qkv, p, s, nil, nil)
			d.LinearBackward(o, qkv, x, m, l, &device.LinearGrad{A: da, B: db, DU: du.Slice(0, m*rank)})
			if err := d.Sync(); err != nil {
				t.Fatal(err)
			}
			if d.c.used != before {
				t.Errorf("%v, %d rows: %d bytes beside what was reserved", f, m, d.c.used-before)
			}
		}
	}
}
