package devicetest

import (
	"fmt"
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

const lossScale = 0.25

// A lossCase is CrossEntropy's problem as a device has it.
type lossCase struct {
	lossProblem
	name   string
	weight *weight
	active device.Format
}

func lossCases() []testCase {
	var all []testCase
	type shape struct {
		m, h, v int
		size    float64 // of x: large ones make logits in the hundreds
		format  device.Format
	}
	shapes := []shape{{1, 7, 5, 1, device.F32}, {17, 19, 301, 1, device.F32}, {5, 8, 40, 100, device.BF16}, {1100, 5, 21, 1, device.F32}}
	for _, f := range formats {
		shapes = append(shapes, shape{3, 16, 33, 1, f}, shape{40, 19, 301, 1, f})
	}
	for i, s := range shapes {
		for j, active := range activations {
			for k, o := range []struct{ smoothing, kl float64 }{{0, 0}, {0.125, 0}, {0, 0.5}, {0.25, 2}} {
				if (s.format != device.F32 && s.format != device.BF16 || s.m > 1000) && k%3 != 0 {
					continue // frozen weights, and many rows: the plain loss and all of it together
				}
				c := &lossCase{lossProblem: lossProblem{m: s.m, h: s.h, v: s.v, smoothing: o.smoothing, kl: o.kl}, active: active}
				c.name = fmt.Sprintf("ε=%g,λ=%g,M=%d,H=%d,V=%d,size=%g,W=%v,%v", o.smoothing, o.kl, s.m, s.h, s.v, s.size, s.format, active)
				c.draw(s.format, s.size, (i+j+k)%2 == 0, (i+j+k)%3 > 0)
				all = append(all, c.cases()...)
				if k == 0 {
					none := *c
					none.name, none.targets = "none,"+c.name, make([]int32, s.m)
					for i := range none.targets {
						none.targets[i] = -100
					}
					all = append(all, none.cases()...)
				}
			}
		}
	}
	return all
}

// draw fills in the problem, with or without a bias and weights of rows. Every
// third row has no target, and some weigh nothing.
func (c *lossCase) draw(format device.Format, size float64, bias, weighed bool) {
	r := random(c.name)
	c.x, c.weight = draw(r, c.active, c.m*c.h, size), newWeight(r, format, c.v, c.h)
	c.w = c.weight.values
	if c.kl > 0 { // like x, but for the size of its numbers
		c.reference = stored(c.active, plus(c.x, draw(r, c.active, c.m*c.h, 1)))
	}
	if size > 1 { // such scores are to be off by no more than their sums are
		c.x, c.reference = stored(device.BF16, c.x), stored(device.BF16, c.reference)
	}
	if bias {
		c.bias = draw(r, device.F32, c.v, 1)
	}
	c.targets = make([]int32, c.m)
	for i := range c.targets {
		if c.targets[i] = r.Int32N(int32(c.v)); i%3 == 1 {
			c.targets[i] = -1
		}
	}
	if weighed {
		c.weights = make([]float32, c.m)
		for i := range c.weights {
			c.weights[i] = float32(r.IntN(5)) / 2
		}
	}
}

// cases are the loss alone, with gradients of x for a frozen output layer, and
// with all gradients that the weight's format can have.
func (c *lossCase) cases() []testCase {
	const f = device.F32
	a, r := c.answer(), random("gradients "+c.name)
	batch := device.Batch{Targets: c.targets, Weights: c.weights}
	head := func(on *call) *device.Head {
		return &device.Head{W: c.weight.matrix(on, "W"), Bias: on.t("bias"), H: c.h, V: c.v}
	}
	run := func(on *call) {
		on.CrossEntropy(on.t("loss"), on.i("hits"), on.t("dx"), on.t("x"), on.pass(batch), head(on),
			&device.HeadGrad{W: on.t("dW"), Bias: on.t("dbias")}, lossScale,
			device.Objective{Smoothing: float32(c.smoothing), KL: float32(c.kl), Reference: on.t("reference")})
	}
	hits := judged(operand{name: "hits", size: 4 * c.m})
	test := func(kind string, more ...operand) testCase {
		operands := append(c.weight.operands("W"), in("x", c.active, c.x), in("reference", c.active, c.reference), in("bias", f, c.bias), out("loss", f, a.loss))
		// The gradient is (1+λ)·p − q − λ·r, and p and r are each off by themselves.
		t := testCase{name: "CrossEntropy/" + kind + "/" + c.name, product: true, slack: 1 + 2*c.kl, run: run, operands: append(operands, more...)}
		for _, o := range more {
			if o.judged {
				t.check = func(after results, limit float64) (float64, error) {
					return 0, c.judge(a.logits, after.ints("hits"), limit)
				}
			}
		}
		return t
	}
	held := func(name string, f device.Format, grad []float64) operand {
		before := draw(r, f, len(grad), 1)
		return inout(name, f, before, plus(before, scaled(grad, lossScale)))
	}
	dx := out("dx", c.active, scaled(a.dx, lossScale))
	all := []testCase{test("loss", hits), test("dx", dx), test("dbias", dx, hits, held("dbias", f, a.dbias))}
	switch c.weight.format {
	case device.BF16:
		all = append(all, test("dW in bf16", dx, held("dW", device.BF16, a.dw)))
		fallthrough
	case device.F32:
		all = append(all, test("all", dx, hits, held("dW", f, a.dw), held("dbias", f, a.dbias)))
	}
	return all
}

// judge compares hits, but where scores are nearer to each other than they need
// to be to the truth.
func (c *lossCase) judge(logits []float64, hits []int32, limit float64) error {
	square := 0.0
	for _, z := range logits {
		square += z * z
	}
	rms := math.Sqrt(square / float64(len(logits)))
	for i, got := range hits {
		want := c.hit(logits, i)
		near := want.margin < 4*limit*rms // either score may be off by its own size and that of all
		if got != want.value && !(near && (got == 0 || got == 1)) {
			return fmt.Errorf("hits[%d] = %d, want %d by %g of scores about as large as %g", i, got, want.value, want.margin, rms)
		}
	}
	return nil
}

// hitCases have whole numbers as scores, which every device has exactly: many are
// equal, and the target is among the first of them or not.
func hitCases() []testCase {
	var all []testCase
	for _, s := range []struct{ m, h, v int }{{40, 3, 5}, {40, 8, 300}} {
		for _, active := range activations {
			name := fmt.Sprintf("M=%d,H=%d,V=%d,%v", s.m, s.h, s.v, active)
			r := random(name)
			whole := func(n int) []float64 {
				x := make([]float64, n)
				for i := range x {
					x[i] = float64(r.IntN(3) - 1)
				}
				return x
			}
			c := lossProblem{m: s.m, h: s.h, v: s.v, x: whole(s.m * s.h), w: whole(s.v * s.h), bias: whole(s.v), targets: make([]int32, s.m)}
			logits := c.scores(c.x)
			for i := range c.targets { // the likeliest, the next as likely, any
				order := descending(logits[i*s.v : (i+1)*s.v])
				c.targets[i] = int32(order[[]int{0, 1, r.IntN(s.v)}[i%3]])
			}
			// Three rows have no scores: the model has diverged.
			broken := append([]float64(nil), c.x...)
			for i, x := range map[int]float64{2: math.NaN(), 9: math.Inf(1), 20: math.Inf(-1)} {
				broken[i*s.h] = x
			}
			a := c.answer()
			hits := make([]int32, s.m)
			for i := range hits {
				if hits[i] = c.hit(logits, i).value; broken[i*s.h]-broken[i*s.h] != 0 {
					hits[i] = -1
				}
			}
			batch := device.Batch{Targets: c.targets}
			all = append(all, testCase{name: "CrossEntropy/ties/" + name, product: true,
				operands: []operand{in("x", active, broken), in("W", device.F32, c.w), in("bias", device.F32, c.bias),
					outInts("hits", hits), judged(out("loss", device.F32, a.loss))},
				run: func(on *call) {
					on.CrossEntropy(on.t("loss"), on.i("hits"), device.Tensor{}, on.t("x"), on.pass(batch),
						&device.Head{W: device.Dense(on.t("W")), Bias: on.t("bias"), H: s.h, V: s.v}, nil, 1, device.Objective{})
				},
				check: func(after results, limit float64) (float64, error) {
					got, want := after.numbers("loss", device.F32), append([]float64(nil), a.loss...)
					for i, h := range hits {
						if h < 0 { // what is lost by a row without scores nobody says
							got[i], want[i] = 0, 0
						}
					}
					worst, at := apart(device.F32, got, want)
					if !(worst <= limit) {
						return worst, fmt.Errorf("loss[%d] = %g, want %g", at, got[at], want[at])
					}
					return worst, nil
				}})
		}
	}
	return all
}
