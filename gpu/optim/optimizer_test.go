package optim

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/reference"
)

func open(t testing.TB) device.Device {
	t.Helper()
	dev, err := reference.Open(device.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

// group makes trainable weights of their own memory.
func group(t testing.TB, dev device.Device, weights ...float32) Group {
	t.Helper()
	w, g := tensor(t, dev, device.F32, len(weights)), tensor(t, dev, device.F32, len(weights))
	copy(w.Floats(), weights)
	p := &chatglm.Param{Name: "w", Shape: []int{len(weights)}, W: device.Dense(w), Grad: g}
	return Group{Run: chatglm.Run{Params: []*chatglm.Param{p}, Offsets: []int{0}, Weights: device.Weights{W: w}, Grad: g}, Setting: Setting{Rate: 1}}
}

func tensor(t testing.TB, dev device.Device, f device.Format, n int) device.Tensor {
	t.Helper()
	x, err := device.NewTensor(dev, f, n)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// factor is a number on the device.
func factor(t testing.TB, dev device.Device, value float32) device.Tensor {
	t.Helper()
	x := tensor(t, dev, device.F32, 1)
	x.Floats()[0] = value
	return x
}

// optimizer follows rule with groups.
func optimizer(t testing.TB, dev device.Device, rule Rule, groups ...Group) *Optimizer {
	t.Helper()
	o, err := New(dev, groups, rule)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

// start are the weights of the trajectories, and slope the gradient of each.
var start = []float32{1, -2, 0.5, 0, 3}

func slope(step, i int) float64 { return math.Cos(float64(step * (i + 1))) }

// follow takes steps and compares the weights after each.
func follow(t *testing.T, rule Rule, decay, lr, scale float32, want [][]float64) {
	t.Helper()
	dev := open(t)
	g := group(t, dev, start...)
	g.Decay = decay
	o := optimizer(t, dev, rule, g)
	by := factor(t, dev, scale)
	for s, weights := range want {
		for i := range g.Grad.Floats() {
			g.Grad.Floats()[i] = float32(slope(s+1, i) / float64(scale))
		}
		o.Step(lr, by)
		o.Done()
		for i, w := range weights {
			if got := float64(g.Weights.W.Floats()[i]); math.Abs(got-w) > 2e-6*(1+math.Abs(w)) {
				t.Fatalf("step %d: weight %d is %.8g, want %.8g", s+1, i, got, w)
			}
		}
	}
	if o.Steps() != len(want) {
		t.Errorf("%d steps counted, %d taken", o.Steps(), len(want))
	}
}

// TestAsPyTorch follows what PyTorch's optimizers did (testdata/trajectories.py).
func TestAsPyTorch(t *testing.T) {
	text, err := os.ReadFile("testdata/trajectories.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Rule          string
		LR            float32
		Betas         [2]float32
		Eps, Momentum float32
		Nesterov      bool
		WeightDecay   float32 `json:"weight_decay"`
		Weights       [][]float64
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		var rule Rule = AdamW{Beta1: c.Betas[0], Beta2: c.Betas[1], Eps: c.Eps}
		if c.Rule == "SGD" {
			rule = SGD{Momentum: c.Momentum, Nesterov: c.Nesterov}
		}
		t.Run(fmt.Sprintf("%+v", rule), func(t *testing.T) {
			follow(t, rule, c.WeightDecay, c.LR, 0.5, c.Weights)
		})
	}
}

// TestLionAgainstItsFormula follows algorithm 2 of the paper in float64.
func TestLionAgainstItsFormula(t *testing.T) {
	const lr, beta1, beta2, decay = 0.01, 0.9, 0.99, 0.1
	var want [][]float64
	w, m := make([]float64, len(start)), make([]float64, len(start))
	for i, v := range start {
		w[i] = float64(v)
	}
	for s := 1; s <= 20; s++ {
		for i := range w {
			c := beta1*m[i] + (1-beta1)*slope(s, i)
			w[i] -= lr * (c/math.Abs(c) + decay*w[i])
			m[i] = beta2*m[i] + (1-beta2)*slope(s, i)
		}
		want = append(want, append([]float64(nil), w...))
	}
	follow(t, Lion{Beta1: beta1, Beta2: beta2}, decay, lr, 0.25, want)
}

// TestRates: a group's rate multiplies the learning rate and nothing else.
func TestRates(t *testing.T) {
	dev := open(t)
	one := factor(t, dev, 1)
	for _, rule := range []Rule{AdamW{0.9, 0.999, 1e-8}, SGD{Momentum: 0.9}, Lion{0.9, 0.99}} {
		slow, fast := group(t, dev, start...), group(t, dev, start...)
		fast.Rate = 4
		a, b := optimizer(t, dev, rule, slow), optimizer(t, dev, rule, fast)
		for s := 1; s <= 3; s++ {
			for i := range start {
				slow.Grad.Floats()[i] = float32(slope(s, i))
				fast.Grad.Floats()[i] = float32(slope(s, i))
			}
			a.Step(0.04, one)
			a.Done()
			b.Step(0.01, one)
			b.Done()
		}
		for i := range start {
			if x, y := slow.Weights.W.Floats()[i], fast.Weights.W.Floats()[i]; x != y {
				t.Errorf("%T: weight %d is %g at rate 1 and 0.04, %g at rate 4 and 0.01", rule, i, x, y)
			}
		}
	}
}

// TestEightBitsGoTheSameWay minimises a noisy quadratic whose gradients differ by
// a factor of a hundred within each block: with moments of 8 bits at least nine
// tenths of what 32 bits gain is gained, and Lion, whose steps have no size of
// their own, loses the most.
func TestEightBitsGoTheSameWay(t *testing.T) {
	const n, steps = 5000, 300
	dev := open(t)
	one := factor(t, dev, 1)
	for _, c := range []struct {
		rule Rule
		lr   float32
	}{{AdamW{0.9, 0.999, 1e-8}, 0.02}, {SGD{Momentum: 0.9}, 0.02}, {SGD{Momentum: 0.9, Nesterov: true}, 0.02}, {Lion{0.9, 0.99}, 0.005}} {
		distance := map[int]float64{}
		for _, bits := range []int{32, 8} {
			g := group(t, dev, make([]float32, n)...)
			g.Narrow = isNarrow(n, bits)
			o := optimizer(t, dev, c.rule, g)
			for s := range steps {
				for i, w := range g.Weights.W.Floats() {
					noise := device.Uniform(uint64(s), uint64(i)) - 0.5
					goal := 2*device.Uniform(999, uint64(i)) - 1
					// Curvatures and noise of several orders of magnitude.
					g.Grad.Floats()[i] = float32(math.Pow(10, -float64(i%3))) * (w - goal + noise)
				}
				o.Step(c.lr*(1-float32(s)/steps), one)
				o.Done()
			}
			for i, w := range g.Weights.W.Floats() {
				goal := 2*device.Uniform(999, uint64(i)) - 1
				distance[bits] += float64((w-goal)*(w-goal)) / n
			}
			taken := int64(0)
			for _, s := range o.State() {
				taken += 4 * int64(s.N)
			}
			if want := Bytes(c.rule, []Group{g}); taken != want {
				t.Errorf("%T with %d bits takes %d bytes, Bytes says %d", c.rule, bits, taken, want)
			}
		}
		t.Logf("%+v: %.5f with 32 bits, %.5f with 8", c.rule, distance[32], distance[8])
		const before = 1.0 / 3 // mean square of the goals
		if distance[32] > before/4 || before-distance[8] < 0.9*(before-distance[32]) || distance[8] < 0.9*distance[32] {
			t.Errorf("%+v: mean square distance %.5f with 32 bits, %.5f with 8", c.rule, distance[32], distance[8])
		}
	}
}

func TestSmallParametersKeepAllBits(t *testing.T) {
	dev := open(t)
	for n, want := range map[int]int64{4095: 2 * 4 * 4095, 4096: 2 * (4096 + 4*16)} {
		g := group(t, dev, make([]float32, n)...)
		g.Narrow = isNarrow(n, 8)
		if got := Bytes(AdamW{}, []Group{g}); got != want {
			t.Errorf("%d values take %d bytes, want %d", n, got, want)
		}
	}
}
