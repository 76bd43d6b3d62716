package devicetest

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

// headShapes have one, two and three groups, widths that fill no vector, and the
// real model's 128.
var headShapes = []device.Heads{
	{A: 2, G: 1, D: 8, Rotary: 4, Base: 10000},
	{A: 4, G: 2, D: 16, Rotary: 8, Base: 10000},
	{A: 6, G: 3, D: 10, Rotary: 6, Base: 10000},
	{A: 3, G: 3, D: 33, Rotary: 2, Base: 500000},
	{A: 2, G: 1, D: 128, Rotary: 64, Base: 10000},
}

func rotaryCases() []testCase {
	var all []testCase
	for i, s := range headShapes {
		far := int32(1500)
		if i == 0 {
			far = 31999 // the angle itself must be rounded as the conventions say
		}
		for _, positions := range [][]int32{{0}, {7, 0, 1}, {0, 1, 2, 3, far, 0, 1, 2, 8, 8, 8, 3, 2, 1, 0, 5, 5}} {
			for _, f := range activations {
				name := fmt.Sprintf("%v,M=%d,%v", s, len(positions), f)
				x := draw(random(name), f, len(positions)*s.Width(), 1)
				batch := device.Batch{Positions: positions}
				for _, inverse := range []bool{false, true} {
					sign := 1.0
					if inverse {
						sign = -1
					}
					all = append(all, testCase{name: fmt.Sprintf("Rotary/inverse=%v/%s", inverse, name),
						operands: []operand{inout("qkv", f, x, rotate(x, positions, s, sign))},
						run:      func(c *call) { c.Rotary(c.t("qkv"), c.pass(batch), s, inverse) }})
				}
			}
		}
	}
	return all
}

// An attentionCase is the numbers of one attention. Operands are numbers that
// BF16 has, whatever holds them: a device that rounds the operands of products
// has the right scores all the same. Of scores in the hundreds a softmax would
// show nothing else.
type attentionCase struct {
	name    string
	heads   device.Heads
	active  device.Format
	cu      []int32
	qkv, do []float64
	slack   float64
}

func attentionCases() []testCase {
	var all []testCase
	packs := []struct {
		cu     []int32
		prefix int // positions of the prefix
	}{{[]int32{0, 1}, 3}, {[]int32{0, 2, 3}, 64}, {[]int32{0, 5, 6, 6, 23}, 1}, {[]int32{0, 64, 128}, 5}, {[]int32{0, 70, 71, 201}, 130}}
	for i, s := range headShapes {
		for k, p := range packs {
			for _, active := range activations {
				if active == device.BF16 && k%2 == i%2 { // halves what takes longest: every head and every pack is there
					continue
				}
				rows := int(p.cu[len(p.cu)-1])
				c := attentionCase{name: fmt.Sprintf("%v,cu_seqlens=%v,%v", s, p.cu, active), heads: s, active: active, cu: p.cu, slack: 1}
				r := random(c.name)
				c.qkv, c.do = draw(r, device.BF16, rows*s.Width(), 1), draw(r, device.BF16, rows*s.A*s.D, 1)
				if i == 1 { // scores in the hundreds: softmax must subtract its maximum, and lse has fewer digits left
					c.slack, c.qkv = 20, scaled(c.qkv, 8)
				}
				all = append(all, c.plain()...)
				all = append(all, c.prefixed(p.prefix)...)
			}
		}
	}
	return all
}

// operands are what the backward pass reads; o and lse are as a device has
// stored them.
func (c *attentionCase) operands(o, lse []float64) []operand {
	return []operand{in("do", c.active, c.do), in("o", c.active, o), in("lse", device.F32, lse), in("qkv", c.active, c.qkv)}
}

func (c *attentionCase) plain() []testCase {
	batch := device.Batch{CuSeqlens: c.cu}
	o, lse := attention(c.qkv, c.cu, c.heads, fixed{})
	grad, _ := attentionBackward(c.do, stored(c.active, o), c.qkv, c.cu, c.heads, fixed{})
	return []testCase{
		{name: "Attention/" + c.name, product: true,
			operands: []operand{out("o", c.active, o), out("lse", device.F32, lse), in("qkv", c.active, c.qkv)},
			run:      func(on *call) { on.Attention(on.t("o"), on.t("lse"), on.t("qkv"), on.pass(batch), c.heads, nil) }},
		{name: "AttentionBackward/" + c.name, product: true, slack: c.slack,
			operands: append(c.operands(o, lse), out("dqkv", c.active, grad)),
			run: func(on *call) {
				on.AttentionBackward(on.t("dqkv"), on.t("do"), on.t("o"), on.t("lse"), on.t("qkv"), on.pass(batch), c.heads, nil, nil)
			}},
	}
}

// A table holds the keys and values of a prefix between those of other layers.
type table struct {
	device.Prefix
	line  int
	whole []float64
}

// newTable lays a prefix of a layer into a table: values before keys, gaps around
// both, and whatever others have there.
func newTable(name string, f fixed, line int) table {
	t := table{Prefix: device.Prefix{N: f.n, Stride: 2*line + 9, K: line + 7, V: 3}, line: line}
	t.whole = draw(random(name), device.F32, f.n*t.Stride, 1)
	t.lay(f, func(at *float64, x float64) { *at = x })
	return t
}

func (t table) lay(f fixed, put func(at *float64, x float64)) {
	for i := range f.n * t.line {
		row, column := i/t.line*t.Stride, i%t.line
		put(&t.whole[row+t.K+column], f.k[i])
		put(&t.whole[row+t.V+column], f.v[i])
	}
}

// plus is the table with a layer's gradient added.
func (t table) plus(f fixed) []float64 {
	sum := t
	sum.whole = append([]float64(nil), t.whole...)
	sum.lay(f, func(at *float64, x float64) { *at += x })
	return sum.whole
}

// on is the table as a prefix on a device, nil where the case has none.
func (t table) on(c *call, name string) *device.Prefix {
	if c.m(name).Empty() {
		return nil
	}
	p := t.Prefix
	p.Table = c.t(name)
	return &p
}

// prefixed is attention after a prefix: all of it, in the first layer of a
// training, where dqkv is not wanted, and with a prefix that is not trained.
func (c *attentionCase) prefixed(n int) []testCase {
	name := fmt.Sprintf("%s,N=%d", c.name, n)
	batch, line := device.Batch{CuSeqlens: c.cu}, c.heads.G*c.heads.D
	r := random(name)
	f := fixed{n, draw(r, device.BF16, n*line, 1), draw(r, device.BF16, n*line, 1)}
	prefix, gradient := newTable(name, f, line), newTable("gradient of "+name, f, line)
	o, lse := attention(c.qkv, c.cu, c.heads, f)
	grad, df := attentionBackward(c.do, stored(c.active, o), c.qkv, c.cu, c.heads, f)
	x := in("prefix", device.F32, prefix.whole)
	dx, dqkv := inout("dprefix", device.F32, gradient.whole, gradient.plus(df)), out("dqkv", c.active, grad)
	backward := func(kind string, gradients ...operand) testCase {
		return testCase{name: "AttentionBackward/prefix/" + kind + name, product: true, slack: c.slack,
			operands: append(append(c.operands(o, lse), x), gradients...),
			run: func(on *call) {
				on.AttentionBackward(on.t("dqkv"), on.t("do"), on.t("o"), on.t("lse"), on.t("qkv"), on.pass(batch), c.heads,
					prefix.on(on, "prefix"), gradient.on(on, "dprefix"))
			}}
	}
	return []testCase{
		{name: "Attention/prefix/" + name, product: true,
			operands: []operand{out("o", c.active, o), out("lse", device.F32, lse), in("qkv", c.active, c.qkv), x},
			run: func(on *call) {
				on.Attention(on.t("o"), on.t("lse"), on.t("qkv"), on.pass(batch), c.heads, prefix.on(on, "prefix"))
			}},
		backward("", dx, dqkv), backward("first/", dx), backward("frozen/", dqkv),
	}
}
