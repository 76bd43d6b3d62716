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
	draw := func(n int) []float64 { return wide(normal(r, n, 1)) }

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
	starts := []int32{0, 1, 4, 6}
	qkv, do := draw(6*s.Width()), draw(6*s.A*s.D)
	for _, f := range []fixed{{}, {3, draw(3 * s.G * s.D), draw(3 * s.G * s.D)}} {
		attentionLoss := func([]float64) float64 { o, _ := attention(qkv, starts, s, f); return inner(o, do) }
		dqkv, df := attentionBackward(do, qkv, starts, s, f)
		near(t, "attention", dqkv, slope(attentionLoss, qkv))
		near(t, "attention, prefix keys", df.k, slope(attentionLoss, f.k))
		near(t, "attention, prefix values", df.v, slope(attentionLoss, f.v))
	}

	pos := []int32{0, 5, 1000, 3, 4, 5}
	dr := draw(6 * s.Width())
	near(t, "rotary", rotate(dr, pos, s, -1),
		slope(func([]float64) float64 { return inner(rotate(qkv, pos, s, 1), dr) }, qkv))

	// With an anchor, the other model's scores get no gradient: its x is another.
	e, base, table, targets := draw(4*5), draw(4*5), draw(9*5), []int32{3, -1, 0, 8}
	for _, g := range []struct{ smoothing, anchor float64 }{{0, 0}, {0.2, 0}, {0, 0.7}, {0.1, 2}} {
		loss := func([]float64) float64 {
			l, _, _ := crossEntropy(e, table, base, targets, 4, 5, 9, g.smoothing, g.anchor)
			return l[0] + l[1] + l[2] + l[3]
		}
		_, de, dt := crossEntropy(e, table, base, targets, 4, 5, 9, g.smoothing, g.anchor)
		near(t, "cross-entropy dx", de, slope(loss, e))
		if g.anchor == 0 {
			near(t, "cross-entropy dw", dt, slope(loss, table))
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
