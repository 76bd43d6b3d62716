package devicetest

import "math"

// A lossProblem is what CrossEntropy reads.
type lossProblem struct {
	m, h, v       int
	x, w          []float64
	bias          []float64 // nil for none
	reference     []float64 // inputs of the output layer in the reference, with kl
	targets       []int32
	weights       []float32 // nil is 1
	smoothing, kl float64
}

// A lossAnswer is what it computes, with gradients of Σ weights·loss.
type lossAnswer struct{ loss, logits, dx, dw, dbias []float64 }

func (c *lossProblem) scores(x []float64) []float64 {
	z := matmul(x, flip(c.w, c.v, c.h), c.m, c.v, c.h)
	for i := range z {
		if c.bias != nil {
			z[i] += c.bias[i%c.v]
		}
	}
	return z
}

func (c *lossProblem) answer() lossAnswer {
	a := lossAnswer{loss: make([]float64, c.m), logits: c.scores(c.x)}
	g := append([]float64(nil), a.logits...)
	other := make([]float64, c.m*c.v)
	if c.kl > 0 {
		other = c.scores(c.reference)
	}
	for i, t := range c.targets {
		row, b := g[i*c.v:(i+1)*c.v], other[i*c.v:(i+1)*c.v]
		if t < 0 {
			clear(row)
			continue
		}
		weight := 1.0
		if c.weights != nil {
			weight = float64(c.weights[i])
		}
		logSoftmax(row)
		logSoftmax(b)
		for j, l := range row {
			q := c.smoothing / float64(c.v)
			if j == int(t) {
				q += 1 - c.smoothing
			}
			r := c.kl * math.Exp(b[j])
			a.loss[i] += r*(b[j]-l) - q*l
			row[j] = weight * ((1+c.kl)*math.Exp(l) - q - r)
		}
	}
	a.dx = matmul(g, c.w, c.m, c.h, c.v)
	a.dw = matmul(flip(g, c.m, c.v), c.x, c.v, c.h, c.m)
	a.dbias = columnSums(g, c.m, c.v)
	return a
}

func logSoftmax(z []float64) {
	top, sum := z[0], 0.0
	for _, v := range z {
		top = math.Max(top, v)
	}
	for _, v := range z {
		sum += math.Exp(v - top)
	}
	for j := range z {
		z[j] -= top + math.Log(sum)
	}
}

// A hit is what CrossEntropy says of a row's target, and by how much the scores
// may be off before it is another answer.
type hit struct {
	value  int32
	margin float64
}

// hit compares the target of row i with every other class, those of lower ids
// first among equals.
func (c *lossProblem) hit(logits []float64, i int) hit {
	t := int(c.targets[i])
	if t < 0 {
		return hit{0, math.Inf(1)}
	}
	row := logits[i*c.v : (i+1)*c.v]
	best := hit{1, math.Inf(1)}
	for j, z := range row {
		if z-z != 0 {
			return hit{-1, math.Inf(1)}
		}
		if j == t {
			continue
		}
		if z > row[t] || z == row[t] && j < t {
			if best.value == 1 {
				best = hit{0, 0}
			}
			best.margin = math.Max(best.margin, z-row[t])
		} else if best.value == 1 {
			best.margin = math.Min(best.margin, row[t]-z)
		}
	}
	return best
}
