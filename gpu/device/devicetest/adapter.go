package devicetest

import (
	"encoding/binary"
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

// adapterCases are batches whose sequences have adapters of their own over one
// base, of several ranks, or none.
func adapterCases() []testCase {
	var all []testCase
	cu, which, ranks := []int32{0, 3, 4, 4, 17, 18, 25}, []int32{1, -1, 0, 2, 0, 1}, []int{3, 8, 1}
	batches := []device.Batch{
		{CuSeqlens: cu, Adapters: which},
		{CuSeqlens: []int32{0, 1, 2, 3, 4, 5}, Adapters: []int32{2, 0, -1, 0, 1}}, // while answering
		{CuSeqlens: []int32{0, 5}, Adapters: []int32{-1}},
	}
	for n, batch := range batches {
		rows := int(batch.CuSeqlens[len(batch.CuSeqlens)-1])
		for _, format := range formats {
			for _, active := range activations {
				base := newLinearCase(linearShape{m: rows, i: 45, o: 37, bias: true, format: format, active: active})
				y, _ := base.forward()
				r := random("adapters " + base.String())
				operands := append(base.parameters(), scratch("U", rows*8))
				branches := make([][2][]float64, len(ranks))
				for a, rank := range ranks {
					branches[a] = [2][]float64{draw(r, device.F32, rank*base.i, 1), draw(r, device.F32, base.o*rank, 1)}
					operands = append(operands, in(fmt.Sprint("A", a), device.F32, branches[a][0]), in(fmt.Sprint("B", a), device.F32, branches[a][1]))
				}
				for s, a := range batch.Adapters {
					lo, hi := int(batch.CuSeqlens[s]), int(batch.CuSeqlens[s+1])
					if a < 0 {
						continue
					}
					u := matmul(base.x[lo*base.i:hi*base.i], flip(branches[a][0], ranks[a], base.i), hi-lo, ranks[a], base.i)
					branch := scaled(matmul(u, flip(branches[a][1], base.o, ranks[a]), hi-lo, base.o, ranks[a]), float64(a)+0.5)
					copy(y[lo*base.o:], plus(y[lo*base.o:hi*base.o], branch))
				}
				all = append(all, testCase{name: fmt.Sprintf("Linear/adapters/%d,W=%v,%v", n, format, active), product: true,
					operands: append(operands, out("y", active, y)),
					run: func(c *call) {
						l := base.layer(c)
						l.Pass = c.pass(batch)
						for a, rank := range ranks {
							l.Adapters = append(l.Adapters, device.LoRA{A: c.t(fmt.Sprint("A", a)), B: c.t(fmt.Sprint("B", a)),
								U: c.t("U"), R: rank, Scale: float32(a) + 0.5,
								Dropout: 0.5}) // which nobody reads
						}
						c.Linear(c.t("y"), c.t("x"), rows, l)
					}})
			}
		}
	}
	return all
}

// mergeCases add the branch to a weight in float32 and round it once.
func mergeCases() []testCase {
	var all []testCase
	for _, format := range []device.Format{device.F32, device.BF16, device.F16} {
		for _, s := range []linearShape{{i: 1, o: 1, rank: 1}, {i: 37, o: 19, rank: 4}, {i: 300, o: 148, rank: 16}} {
			s.format = format
			c := newLinearCase(s)
			want := plus(c.w.values, scaled(matmul(c.b, c.a, c.o, c.i, c.rank), float64(c.scale)))
			w := operand{name: "W", format: format, size: len(c.w.stored), before: c.w.stored, want: want}
			all = append(all, testCase{name: "Merge/" + c.String(),
				operands: []operand{w, in("A", device.F32, c.a), in("B", device.F32, c.b)},
				run:      func(on *call) { on.Merge(c.layer(on)) }})
		}
	}
	return append(all, mergeNothing())
}

// mergeNothing is a branch of zeros: whatever the weight holds comes back, bit
// for bit, the largest and smallest numbers of the format, too.
func mergeNothing() testCase {
	const n = 1 << 10
	var b []byte
	for i := range n {
		h := uint16(i * 64)
		if h&0x7C00 == 0x7C00 || h == 0x8000 { // no number, or a zero whose sign is lost
			h &^= 0xC000
		}
		b = binary.LittleEndian.AppendUint16(b, h)
	}
	return testCase{name: "Merge/nothing",
		operands: []operand{{name: "W", format: device.F16, size: len(b), before: b}, in("A", device.F32, make([]float64, n)), in("B", device.F32, []float64{1})},
		run: func(c *call) {
			c.Merge(&device.Linear{W: device.Matrix{Format: device.F16, Data: c.m("W")}, I: n, O: 1,
				LoRA: &device.LoRA{A: c.t("A"), B: c.t("B"), R: 1, Scale: 1}})
		}}
}
