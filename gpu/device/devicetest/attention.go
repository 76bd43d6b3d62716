package devicetest

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

// shapes have one, two and three groups, widths that fill no vector, and the
// real model's 128.
var shapes = []device.Heads{
	{A: 2, G: 1, D: 8, Rotary: 4, Base: 10000},
	{A: 4, G: 2, D: 16, Rotary: 8, Base: 10000},
	{A: 6, G: 3, D: 10, Rotary: 6, Base: 10000},
	{A: 3, G: 3, D: 33, Rotary: 2, Base: 500000},
	{A: 2, G: 1, D: 128, Rotary: 64, Base: 10000},
}

func rotaryCases() []testCase {
	var all []testCase
	for i, s := range shapes {
		far := int32(1500)
		if i == 0 {
			far = 31999 // the angle itself must be rounded as the conventions say
		}
		for _, pos := range [][]int32{{0}, {7, 0, 1}, {0, 1, 2, 3, far, 0, 1, 2, 8, 8, 8, 3, 2, 1, 0, 5, 5}} {
			name := fmt.Sprintf("%v,M=%d", s, len(pos))
			x := normal(random(name), len(pos)*s.Width(), 1)
			for _, inverse := range []bool{false, true} {
				sign := 1.0
				if inverse {
					sign = -1
				}
				all = append(all, testCase{name: fmt.Sprintf("Rotary/inverse=%v/%s", inverse, name),
					operands: []operand{inout("qkv", x, rotate(wide(x), pos, s, sign))},
					run:      func(d device.Device, m []device.Mem) { d.Rotary(m[0], pos, s, inverse) }})
			}
		}
	}
	return all
}

func attentionCases() []testCase {
	var all []testCase
	for i, s := range shapes {
		packs := [][]int32{{0, 1}, {0, 2, 3}, {0, 5, 6, 23}, {0, 64, 128}, {0, 70, 71, 201}}
		for k, starts := range packs {
			rows := int(starts[len(starts)-1])
			name := fmt.Sprintf("%v,starts=%v", s, starts)
			r := random(name)
			qkv, do := normalBF16(r, rows*s.Width()), normalBF16(r, rows*s.A*s.D)
			slack := 1.0
			if i == 1 { // scores in the hundreds: softmax must subtract its maximum, and lse has fewer digits left
				slack = 20
				for j := range qkv {
					qkv[j] *= 8
				}
			}
			o, lse := attention(wide(qkv), starts, s, fixed{})
			grad, _ := attentionBackward(wide(do), wide(qkv), starts, s, fixed{})
			all = append(all,
				testCase{name: "Attention/" + name, product: true,
					operands: []operand{out("o", o), out("lse", lse), in("qkv", qkv)},
					run:      func(d device.Device, m []device.Mem) { d.Attention(m[0], m[1], m[2], starts, s, nil) }},
				testCase{name: "AttentionBackward/" + name, product: true, slack: slack,
					operands: []operand{out("dqkv", grad), in("do", do), in("o", narrow(o)), in("lse", narrow(lse)), in("qkv", qkv)},
					run: func(d device.Device, m []device.Mem) {
						d.AttentionBackward(m[0], m[1], m[2], m[3], m[4], starts, s, nil, nil)
					}})
			n := []int{3, 64, 1, 5, 130}[k]
			all = append(all, prefixCases(fmt.Sprintf("%s,N=%d", name, n), s, starts, n, qkv, do, slack)...)
		}
	}
	return all
}

// prefixCases are attention after a prefix that lies in a wider table, all, and
// in the first layer of a training, where dqkv is not wanted.
func prefixCases(name string, s device.Heads, starts []int32, n int, qkv, do []float32, slack float64) []testCase {
	r := random(name)
	line := s.G * s.D
	stride := line + 3
	f := fixed{n, wide(normalBF16(r, n*line)), wide(normalBF16(r, n*line))}
	o, lse := attention(wide(qkv), starts, s, f)
	grad, df := attentionBackward(wide(do), wide(qkv), starts, s, f)
	// What lies between the lines stays as it is.
	spaced := func(x []float64, between []float32) []float32 {
		y := between
		for i, v := range x {
			y[i/line*stride+i%line] = float32(v)
		}
		return y
	}
	size := (n-1)*stride + line
	k, v := spaced(f.k, normal(r, size, 1)), spaced(f.v, normal(r, size, 1))
	before := normal(r, size, 1)
	after := func(d []float64) []float64 { return plus(before, wide(spaced(d, make([]float32, size)))) }
	prefix := func(k, v device.Mem) *device.Prefix {
		if k.Empty() {
			return nil
		}
		return &device.Prefix{K: k, V: v, N: n, Stride: stride}
	}
	inputs := []operand{in("do", do), in("o", narrow(o)), in("lse", narrow(lse)), in("qkv", qkv), in("K", k), in("V", v)}
	dk, dv := inout("dK", before, after(df.k)), inout("dV", before, after(df.v))
	backward := func(d device.Device, m []device.Mem) {
		d.AttentionBackward(m[8], m[0], m[1], m[2], m[3], starts, s, prefix(m[4], m[5]), prefix(m[6], m[7]))
	}
	return []testCase{
		{name: "Attention/prefix/" + name, product: true,
			operands: []operand{out("o", o), out("lse", lse), in("qkv", qkv), in("K", k), in("V", v)},
			run: func(d device.Device, m []device.Mem) {
				d.Attention(m[0], m[1], m[2], starts, s, prefix(m[3], m[4]))
			}},
		{name: "AttentionBackward/prefix/" + name, product: true, slack: slack, operands: append(inputs[:6:6], dk, dv, out("dqkv", grad)), run: backward},
		{name: "AttentionBackward/prefix/first/" + name, product: true, slack: slack, operands: append(inputs[:6:6], dk, dv, none("dqkv")), run: backward},
		{name: "AttentionBackward/prefix/frozen/" + name, product: true, slack: slack, operands: append(inputs[:6:6], none("dK"), none("dV"), out("dqkv", grad)), run: backward},
	}
}

// cachedCases compare with attention over the whole sequence: a slot's past
// is the first part of it, the new rows are the rest.
func cachedCases() []testCase {
	var all []testCase
	const slotCount, room = 4, 80
	for _, s := range shapes {
		for _, c := range []struct {
			slots, past, fresh []int32
			n                  int // positions of the prefix
		}{
			{[]int32{0}, []int32{0}, []int32{1}, 0},
			{[]int32{2, 0, 3}, []int32{5, 0, 79}, []int32{1, 7, 1}, 0},
			{[]int32{1, 3}, []int32{0, 9}, []int32{70, 17}, 0},
			{[]int32{2, 0, 3}, []int32{5, 0, 79}, []int32{1, 7, 1}, 3},
			{[]int32{1}, []int32{0}, []int32{17}, 70},
		} {
			name := fmt.Sprintf("%v,slots=%v,past=%v,new=%v,N=%d", s, c.slots, c.past, c.fresh, c.n)
			r := random(name)
			line := s.G * s.D
			k, v := normal(r, slotCount*room*line, 1), normal(r, slotCount*room*line, 1)
			fk, fv := normal(r, c.n*line, 1), normal(r, c.n*line, 1)
			f := fixed{c.n, wide(fk), wide(fv)}
			wantK, wantV := wide(k), wide(v)
			starts := []int32{0}
			var rows []float32
			var o []float64
			for i, slot := range c.slots {
				past, fresh := int(c.past[i]), int(c.fresh[i])
				whole := normal(r, (past+fresh)*s.Width(), 1)
				for p := range past + fresh {
					at, row := (int(slot)*room+p)*line, whole[p*s.Width():(p+1)*s.Width()]
					copy(wantK[at:], wide(row[s.A*s.D:][:line]))
					copy(wantV[at:], wide(row[(s.A+s.G)*s.D:][:line]))
					if p < past {
						copy(k[at:at+line], row[s.A*s.D:])
						copy(v[at:at+line], row[(s.A+s.G)*s.D:])
					}
				}
				all, _ := attention(wide(whole), []int32{0, int32(past + fresh)}, s, f)
				o = append(o, all[past*s.A*s.D:]...)
				rows = append(rows, whole[past*s.Width():]...)
				starts = append(starts, starts[i]+int32(fresh))
			}
			all = append(all, testCase{name: "AttentionCached/" + name,
				operands: []operand{out("o", o), in("qkv", rows), inout("K", k, wantK), inout("V", v, wantV), in("prefix K", fk), in("prefix V", fv)},
				run: func(d device.Device, m []device.Mem) {
					var p *device.Prefix
					if c.n > 0 {
						p = &device.Prefix{K: m[4], V: m[5], N: c.n, Stride: line}
					}
					d.AttentionCached(m[0], m[1], device.Cache{K: m[2], V: m[3], Max: room}, c.slots, c.past, starts, s, p)
				}})
		}
	}
	return all
}
