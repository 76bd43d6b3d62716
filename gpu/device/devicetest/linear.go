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
	active        device.Format // of x, y and their gradients
}

func (s linearShape) String() string {
	return fmt.Sprintf("M=%d,I=%d,O=%d,R=%d,bias=%v,dropout=%g,W=%v,%v", s.m, s.i, s.o, s.rank, s.bias, s.dropout, s.format, s.active)
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
	r := random(s.String())
	c := &linearCase{linearShape: s, scale: 1.5, seed: r.Uint64()}
	c.x, c.w, c.dy = draw(r, s.active, s.m*s.i, 1), newWeight(r, s.format, s.o, s.i), draw(r, s.active, s.m*s.o, 1)
	if s.bias {
		c.bias = draw(r, device.F32, s.o, 1)
	}
	if s.rank > 0 {
		c.a, c.b = draw(r, device.F32, s.rank*s.i, 1), draw(r, device.F32, s.o*s.rank, 1)
	}
	return c
}

// exact reports whether all operands of the layer's products are numbers that
// bfloat16 has, so that every device must have the exact products.
func (c *linearCase) exact() bool { return c.active == device.BF16 && c.w.exact() && c.rank == 0 }

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
		y = plus(y, scaled(matmul(u, flip(c.b, c.o, c.rank), c.m, c.o, c.rank), float64(c.scale)))
	}
	return y, u
}

type linearGrad struct{ x, w, bias, a, b []float64 }

func (c *linearCase) backward() linearGrad {
	g := linearGrad{
		x:    matmul(c.dy, c.w.values, c.m, c.i, c.o),
		w:    matmul(flip(c.dy, c.m, c.o), c.x, c.o, c.i, c.m),
		bias: columnSums(c.dy, c.m, c.o),
	}
	if c.rank > 0 {
		_, u := c.forward()
		du := scaled(matmul(c.dy, c.b, c.m, c.rank, c.o), float64(c.scale))
		g.b = scaled(matmul(flip(c.dy, c.m, c.o), u, c.o, c.rank, c.m), float64(c.scale))
		g.a = matmul(flip(du, c.m, c.rank), dropped(c.x, c.dropout, c.seed), c.rank, c.i, c.m)
		g.x = plus(g.x, dropped(matmul(du, c.a, c.m, c.i, c.rank), c.dropout, c.seed))
	}
	return g
}

// layer is the case's Linear on a device.
func (c *linearCase) layer(on *call) *device.Linear {
	l := &device.Linear{W: c.w.matrix(on, "W"), Bias: on.t("bias"), I: c.i, O: c.o}
	if c.rank > 0 {
		l.LoRA = &device.LoRA{A: on.t("A"), B: on.t("B"), U: on.t("U"), R: c.rank, Scale: c.scale, Dropout: c.dropout, Seed: c.seed}
	}
	return l
}

// parameters are the operands that are only read.
func (c *linearCase) parameters() []operand {
	const f = device.F32
	return append(c.w.operands("W"), in("x", c.active, c.x), in("bias", f, c.bias), in("A", f, c.a), in("B", f, c.b))
}

func linearCases() []testCase {
	shapes := []linearShape{
		{m: 3, i: 19, o: 35, rank: 3},
		{m: 4, i: 64, o: 67, bias: true, rank: 2, dropout: 0.5},
		{m: 33, i: 64, o: 48, rank: 16},
		{m: 211, i: 70, o: 270, bias: true, rank: 1},
		{m: 40, i: 1030, o: 65, bias: true, rank: 3, dropout: 0.2}, // more than one block of the sum
		{m: 530, i: 33, o: 20, rank: 4},                            // the same for the gradient of W
	}
	for _, f := range formats {
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
		for _, s.active = range activations {
			all = append(all, newLinearCase(s).cases()...)
		}
	}
	return all
}

// cases are the layer forward, and backward for all gradients, for those of an
// adapter in the first layer, where nobody wants dx, and for dx alone.
func (c *linearCase) cases() []testCase {
	const f = device.F32
	y, u := c.forward()
	g, r := c.backward(), random("gradients "+c.String())
	held := func(name string, f device.Format, grad []float64) operand {
		before := draw(r, f, len(grad), 1)
		return inout(name, f, before, plus(before, grad))
	}
	run := func(on *call) {
		on.LinearBackward(on.t("dx"), on.t("dy"), on.t("x"), c.m, c.layer(on),
			&device.LinearGrad{W: on.t("dW"), Bias: on.t("dbias"), A: on.t("dA"), B: on.t("dB"), DU: on.t("DU")})
	}
	backward := func(kind string, gradients ...operand) testCase {
		operands := append(c.parameters(), in("dy", c.active, c.dy), in("U", f, u), scratch("DU", c.m*c.rank))
		return testCase{name: "LinearBackward/" + kind + "/" + c.String(), product: !c.exact(), run: run, operands: append(operands, gradients...)}
	}
	dx, adapter := out("dx", c.active, g.x), []operand{held("dA", f, g.a), held("dB", f, g.b)}
	all := []testCase{
		{name: "Linear/" + c.String(), product: !c.exact(),
			operands: append(c.parameters(), out("y", c.active, y), out("U", f, u)),
			run:      func(on *call) { on.Linear(on.t("y"), on.t("x"), c.m, c.layer(on)) }},
		backward("dx", dx),
		backward("all", append(adapter, dx, held("dbias", f, g.bias))...),
	}
	if c.active == device.BF16 { // scores
		scores := all[0]
		scores.name = "Linear/scores/" + c.String()
		scores.operands = append(c.parameters(), out("y", f, y), out("U", f, u))
		all = append(all, scores)
	}
	if c.rank > 0 {
		all = append(all, backward("adapter", adapter...))
	}
	switch c.format {
	case device.BF16:
		all = append(all, backward("dW in bf16", held("dW", device.BF16, g.w)))
		fallthrough
	case device.F32:
		all = append(all, backward("dW", append(adapter, dx, held("dW", f, g.w), held("dbias", f, g.bias))...))
	}
	return all
}
