package devicetest

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

type linearShape struct {
	m, i, o, rank int
	bias          bool
	dropout       float32
	format        device.Format // of W
}

// linearCase holds the numbers of one layer: x [M,I], w [O,I], bias [O],
// a [R,I], b [O,R], dy [M,O].
type linearCase struct {
	linearShape
	scale             float32
	seed              uint64
	w                 *weight
	x, bias, a, b, dy []float64
}

func newLinearCase(s linearShape) *linearCase {
	r := random(fmt.Sprint(s))
	c := &linearCase{linearShape: s, scale: 1.5, seed: r.Uint64()}
	draw := func(n int) []float64 { return wide(normal(r, n, 1)) }
	c.x, c.w, c.dy = draw(s.m*s.i), newWeight(r, s.format, s.o, s.i), draw(s.m*s.o)
	if s.bias {
		c.bias = draw(s.o)
	}
	if s.rank > 0 {
		c.a, c.b = draw(s.rank*s.i), draw(s.o*s.rank)
	}
	return c
}

// forward returns y and u = drop(x)·Aᵀ.
func (c *linearCase) forward() (y, u []float64) {
	y = matmul(c.x, flip(c.w.values, c.o, c.i), c.m, c.o, c.i)
	for i := range y {
		if c.bias != nil {
			y[i] += c.bias[i%c.o]
		}
	}
	if c.rank > 0 {
		u = matmul(dropped(c.x, c.dropout, c.seed), flip(c.a, c.rank, c.i), c.m, c.rank, c.i)
		y = added(y, scaled(matmul(u, flip(c.b, c.o, c.rank), c.m, c.o, c.rank), float64(c.scale)))
	}
	return y, u
}

type linearGrad struct{ x, w, bias, a, b []float64 }

func (c *linearCase) backward() linearGrad {
	g := linearGrad{
		x:    matmul(c.dy, c.w.values, c.m, c.i, c.o),
		w:    matmul(flip(c.dy, c.m, c.o), c.x, c.o, c.i, c.m),
		bias: make([]float64, c.o),
	}
	for i, v := range c.dy {
		g.bias[i%c.o] += v
	}
	if c.rank > 0 {
		_, u := c.forward()
		du := scaled(matmul(c.dy, c.b, c.m, c.rank, c.o), float64(c.scale))
		g.b = scaled(matmul(flip(c.dy, c.m, c.o), u, c.o, c.rank, c.m), float64(c.scale))
		g.a = matmul(flip(du, c.m, c.rank), dropped(c.x, c.dropout, c.seed), c.rank, c.i, c.m)
		g.x = added(g.x, dropped(matmul(du, c.a, c.m, c.i, c.rank), c.dropout, c.seed))
	}
	return g
}

// layer puts the case's tensors, in the order of operands, into a Linear.
func (c *linearCase) layer(w, scales, bias, a, b, u device.Mem) *device.Linear {
	l := &device.Linear{W: c.w.matrix(w, scales), Bias: bias, I: c.i, O: c.o}
	if c.rank > 0 {
		l.LoRA = &device.LoRA{A: a, B: b, U: u, R: c.rank, Scale: c.scale, Dropout: c.dropout, Seed: c.seed}
	}
	return l
}

func linearCases() []testCase {
	shapes := []linearShape{
		{m: 1, i: 1, o: 1},
		{m: 1, i: 37, o: 19, bias: true},
		{m: 3, i: 19, o: 35, rank: 3},
		{m: 4, i: 64, o: 67, bias: true, rank: 2, dropout: 0.5},
		{m: 7, i: 50, o: 130, bias: true, rank: 4},
		{m: 17, i: 33, o: 31, bias: true, rank: 8, dropout: 0.1},
		{m: 33, i: 64, o: 48, rank: 16},
		{m: 211, i: 70, o: 270, bias: true, rank: 1},
		{m: 40, i: 1030, o: 65, bias: true, rank: 3, dropout: 0.2}, // more than one block of the sum
		{m: 530, i: 33, o: 20, rank: 4},                            // the same for the gradient of W
	}
	for _, f := range formats[1:] {
		shapes = append(shapes,
			linearShape{m: 1, i: 1, o: 1, format: f},
			linearShape{m: 1, i: 37, o: 19, bias: true, format: f},
			linearShape{m: 2, i: 257, o: 9, format: f},
			linearShape{m: 7, i: 50, o: 130, bias: true, rank: 4, format: f},
			linearShape{m: 17, i: 33, o: 31, bias: true, rank: 8, dropout: 0.1, format: f},
			linearShape{m: 33, i: 300, o: 148, rank: 2, format: f},
			linearShape{m: 40, i: 1030, o: 65, bias: true, format: f})
	}
	var all []testCase
	for _, s := range shapes {
		c := newLinearCase(s)
		name := named(s.format, fmt.Sprintf("M=%d,I=%d,O=%d,R=%d,bias=%v,dropout=%g", s.m, s.i, s.o, s.rank, s.bias, s.dropout))
		y, u := c.forward()
		x, w, bias, a, b := in("x", narrow(c.x)), c.w.operands("W"), in("bias", narrow(c.bias)), in("A", narrow(c.a)), in("B", narrow(c.b))
		all = append(all, testCase{
			name: "Linear/" + name, product: true,
			operands: []operand{out("y", y), x, w[0], w[1], bias, a, b, out("U", u)},
			run: func(d device.Device, m []device.Mem) {
				d.Linear(m[0], m[1], c.m, c.layer(m[2], m[3], m[4], m[5], m[6], m[7]))
			},
		})
		g, r := c.backward(), random("gradients "+name)
		held := func(name string, grad []float64) operand {
			before := normal(r, len(grad), 1)
			return inout(name, before, plus(before, grad))
		}
		dy, U := in("dy", narrow(c.dy)), in("U", narrow(u))
		biasGrad := none("dbias")
		if s.bias {
			biasGrad = held("dbias", g.bias)
		}
		run := func(d device.Device, m []device.Mem) {
			d.LinearBackward(m[0], m[1], m[2], c.m, c.layer(m[3], m[4], m[5], m[6], m[7], m[8]),
				&device.LinearGrad{W: m[9], Bias: m[10], A: m[11], B: m[12], DU: m[13]})
		}
		weightGrad := none("dW")
		if s.format == device.F32 {
			weightGrad = held("dW", g.w)
		}
		all = append(all,
			testCase{
				name: "LinearBackward/all/" + name, product: true, run: run,
				operands: []operand{out("dx", g.x), dy, x, w[0], w[1], bias, a, b, U,
					weightGrad, biasGrad, held("dA", g.a), held("dB", g.b), scratch("DU", s.m*s.rank)},
			},
			testCase{ // the first layer of a LoRA training needs no dx, and W is frozen
				name: "LinearBackward/adapter/" + name, product: true, run: run,
				operands: []operand{none("dx"), dy, x, w[0], w[1], bias, a, b, U,
					none("dW"), none("dbias"), held("dA", g.a), held("dB", g.b), scratch("DU", s.m*s.rank)},
			},
			testCase{ // a frozen layer only passes the gradient on
				name: "LinearBackward/dx/" + name, product: true, run: run,
				operands: []operand{out("dx", g.x), dy, x, w[0], w[1], bias, a, b, U,
					none("dW"), none("dbias"), none("dA"), none("dB"), scratch("DU", s.m*s.rank)},
			})
	}
	return all
}
