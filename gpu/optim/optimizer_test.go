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

// param makes a trainable parameter of the given weights.
func param(t testing.TB, dev device.Device, weights ...float32) Param {
	t.Helper()
	w, err := dev.Alloc(len(weights))
	if err != nil {
		t.Fatal(err)
	}
	g, err := dev.Alloc(len(weights))
	if err != nil {
		t.Fatal(err)
	}
	dev.Upload(w, weights)
	return Param{Param: &chatglm.Param{Name: "w", Shape: []int{len(weights)}, W: w, Grad: g}, Rate: 1}
}

// start are the weights of the trajectories, and slope the gradient of each.
var start = []float32{1, -2, 0.5, 0, 3}

func slope(step, i int) float64 { return math.Cos(float64(step * (i + 1))) }

// follow takes steps and compares the weights after each.
func follow(t *testing.T, rule Rule, decay, lr, scale float32, want [][]float64) {
	t.Helper()
	dev := open(t)
	p := param(t, dev, start...)
	p.Decay = decay
	o, err := New(dev, []Param{p}, rule, 32)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	for s, weights := range want {
		for i := range p.Grad.Host {
			p.Grad.Host[i] = float32(slope(s+1, i) / float64(scale))
		}
		o.Step(lr, scale)
		for i, w := range weights {
			if got := float64(p.W.Host[i]); math.Abs(got-w) > 2e-6*(1+math.Abs(w)) {
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

// TestRates: a parameter's rate multiplies the learning rate and nothing else.
func TestRates(t *testing.T) {
	dev := open(t)
	for _, rule := range []Rule{AdamW{0.9, 0.999, 1e-8}, SGD{Momentum: 0.9}, Lion{0.9, 0.99}} {
		slow, fast := param(t, dev, start...), param(t, dev, start...)
		fast.Rate = 4
		a, err := New(dev, []Param{slow}, rule, 32)
		if err != nil {
			t.Fatal(err)
		}
		b, err := New(dev, []Param{fast}, rule, 32)
		if err != nil {
			t.Fatal(err)
		}
		for s := 1; s <= 3; s++ {
			for i := range start {
				slow.Grad.Host[i] = float32(slope(s, i))
				fast.Grad.Host[i] = slow.Grad.Host[i]
			}
			a.Step(0.04, 1)
			b.Step(0.01, 1)
		}
		for i := range start {
			if slow.W.Host[i] != fast.W.Host[i] {
				t.Errorf("%T: weight %d is %g at rate 1 and 0.04, %g at rate 4 and 0.01", rule, i, slow.W.Host[i], fast.W.Host[i])
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
	for _, c := range []struct {
		rule Rule
		lr   float32
	}{{AdamW{0.9, 0.999, 1e-8}, 0.02}, {SGD{Momentum: 0.9}, 0.02}, {SGD{Momentum: 0.9, Nesterov: true}, 0.02}, {Lion{0.9, 0.99}, 0.005}} {
		distance := map[int]float64{}
		for _, bits := range []int{32, 8} {
			p := param(t, dev, make([]float32, n)...)
			o, err := New(dev, []Param{p}, c.rule, bits)
			if err != nil {
				t.Fatal(err)
			}
			for s := range steps {
				for i, w := range p.W.Host {
					noise := device.Uniform(uint64(s), uint64(i)) - 0.5
					goal := 2*device.Uniform(999, uint64(i)) - 1
					// Curvatures and noise of several orders of magnitude.
					p.Grad.Host[i] = float32(math.Pow(10, -float64(i%3))) * (w - goal + noise)
				}
				o.Step(c.lr*(1-float32(s)/steps), 1)
			}
			for i, w := range p.W.Host {
				goal := 2*device.Uniform(999, uint64(i)) - 1
				distance[bits] += float64((w-goal)*(w-goal)) / n
			}
			taken := int64(0)
			for _, s := range o.State() {
				taken += 4 * int64(s.Mem.Len())
			}
			if want := Bytes(c.rule, n, bits); taken != want {
				t.Errorf("%T with %d bits takes %d bytes, Bytes says %d", c.rule, bits, taken, want)
			}
			o.Close()
		}
		t.Logf("%+v: %.5f with 32 bits, %.5f with 8", c.rule, distance[32], distance[8])
		const before = 1.0 / 3 // mean square of the goals
		if distance[32] > before/4 || before-distance[8] < 0.9*(before-distance[32]) || distance[8] < 0.9*distance[32] {
			t.Errorf("%+v: mean square distance %.5f with 32 bits, %.5f with 8", c.rule, distance[32], distance[8])
		}
	}
}

func TestSmallParametersKeepAllBits(t *testing.T) {
	if got := Bytes(AdamW{}, 4095, 8); got != 2*4*4095 {
		t.Errorf("4095 values take %d bytes", got)
	}
	if got := Bytes(AdamW{}, 4096, 8); got != 2*(4096+4*16) {
		t.Errorf("4096 values take %d bytes", got)
	}
}

func TestAverage(t *testing.T) {
	dev := open(t)
	p := param(t, dev, 1, 2)
	a, err := NewAverage(dev, []Param{p}, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	want := []float64{1, 2}
	for n := 1; n <= 20; n++ {
		for i := range p.W.Host {
			p.W.Host[i] = float32(slope(n, i))
			d := min(0.5, float64(1+n)/float64(10+n))
			want[i] = d*want[i] + (1-d)*slope(n, i)
		}
		a.Add(n)
	}
	last := p.W.Host[0]
	a.Swap()
	for i, w := range want {
		if got := float64(p.W.Host[i]); math.Abs(got-w) > 1e-6 {
			t.Errorf("average %d is %g, want %g", i, got, w)
		}
	}
	a.Swap()
	if p.W.Host[0] != last {
		t.Error("swapped twice, the weights are others")
	}
}
