package devicetest

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

// slope is the gradient of f at x by central differences.
func slope(f func(x []float64) float64, x []float64) []float64 {
	const step = 1e-5
	g := make([]float64, len(x))
	for i, v := range x {
		x[i] = v + step
		up := f(x)
		x[i] = v - step
		g[i] = (up - f(x)) / (2 * step)
		x[i] = v
	}
	return g
}

func inner(a, b []float64) float64 {
	s := 0.0
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

func near(t *testing.T, name string, got, want []float64) {
	t.Helper()
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= 1e-6*(1+math.Abs(want[i]))) {
			t.Errorf("%s[%d] = %g, finite differences say %g", name, i, got[i], want[i])
		}
	}
}

// TestOracleGradients holds the backward formulas of the suite to finite
// differences of its forward ones.
func TestOracleGradients(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	draw := func(n int) []float64 { return draw(r, device.F32, n, 1) }

	x, w, dy := draw(3*7), draw(7), draw(3*7)
	_, rstd := norm(x, w, 3, 7, 1e-5)
	dx, dw := normBackward(dy, x, w, rstd, 3, 7)
	normLoss := func([]float64) float64 { y, _ := norm(x, w, 3, 7, 1e-5); return inner(y, dy) }
	near(t, "norm dx", dx, slope(normLoss, x))
	near(t, "norm dw", dw, slope(normLoss, w))

	u, dz := draw(2*2*5), draw(2*5)
	near(t, "swiglu", swigluBackward(dz, u, 2, 5),
		slope(func([]float64) float64 { return inner(swiglu(u, 2, 5), dz) }, u))

	s := device.Heads{A: 4, G: 2, D: 6, Rotary: 4, Base: 10000}
	cu := []int32{0, 1, 4, 6}
	qkv, do := draw(6*s.Width()), draw(6*s.A*s.D)
	for _, f := range []fixed{{}, {3, draw(3 * s.G * s.D), draw(3 * s.G * s.D)}} {
		attentionLoss := func([]float64) float64 { o, _ := attention(qkv, cu, s, f); return inner(o, do) }
		o, _ := attention(qkv, cu, s, f)
		dqkv, df := attentionBackward(do, o, qkv, cu, s, f)
		near(t, "attention", dqkv, slope(attentionLoss, qkv))
		near(t, "attention, prefix keys", df.k, slope(attentionLoss, f.k))
		near(t, "attention, prefix values", df.v, slope(attentionLoss, f.v))
	}

	pos := []int32{0, 5, 1000, 3, 4, 5}
	dr := draw(6 * s.Width())
	near(t, "rotary", rotate(dr, pos, s, -1),
		slope(func([]float64) float64 { return inner(rotate(qkv, pos, s, 1), dr) }, qkv))

	// With a reference, its scores get no gradient: its x is another.
	p := lossProblem{m: 4, h: 5, v: 9, x: draw(4 * 5), reference: draw(4 * 5), w: draw(9 * 5), bias: draw(9),
		targets: []int32{3, -1, 0, 8}, weights: []float32{1, 1, 0.5, 2}}
	for _, o := range []struct{ smoothing, kl float64 }{{0, 0}, {0.2, 0}, {0, 0.7}, {0.1, 2}} {
		p.smoothing, p.kl = o.smoothing, o.kl
		loss := func([]float64) float64 { l := p.answer().loss; return l[0] + 0.5*l[2] + 2*l[3] }
		a := p.answer()
		near(t, "cross-entropy dx", a.dx, slope(loss, p.x))
		if o.kl == 0 {
			near(t, "cross-entropy dw", a.dw, slope(loss, p.w))
			near(t, "cross-entropy dbias", a.dbias, slope(loss, p.bias))
		}
	}

	c := newLinearCase(linearShape{m: 3, i: 5, o: 4, rank: 2, bias: true, dropout: 0.3})
	linearLoss := func([]float64) float64 { y, _ := c.forward(); return inner(y, c.dy) }
	g := c.backward()
	near(t, "linear dx", g.x, slope(linearLoss, c.x))
	near(t, "linear dW", g.w, slope(linearLoss, c.w.values))
	near(t, "linear dbias", g.bias, slope(linearLoss, c.bias))
	near(t, "linear dA", g.a, slope(linearLoss, c.a))
	near(t, "linear dB", g.b, slope(linearLoss, c.b))
}
