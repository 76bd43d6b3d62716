package optim

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
)

// halves makes trainable weights in bfloat16 with their lower halves.
func halves(t testing.TB, dev device.Device, values ...float32) Group {
	t.Helper()
	n := len(values)
	low, err := dev.Alloc(2 * n)
	if err != nil {
		t.Fatal(err)
	}
	g := group(t, dev, values...)
	g.Weights = device.Weights{W: tensor(t, dev, device.BF16, n), Low: low}
	write(t, dev, g.Weights, values)
	return g
}

func read(t testing.TB, dev device.Device, w device.Weights) []float32 {
	t.Helper()
	values := make([]float32, w.W.Len())
	if err := w.Read(dev, values); err != nil {
		t.Fatal(err)
	}
	return values
}

func write(t testing.TB, dev device.Device, w device.Weights, values []float32) {
	t.Helper()
	if err := w.Write(dev, values); err != nil {
		t.Fatal(err)
	}
}

// TestAverage follows the average by its formula, in both formats of weights.
func TestAverage(t *testing.T) {
	dev := open(t)
	for name, g := range map[string]Group{"fp32": group(t, dev, 1, 2), "bf16": halves(t, dev, 1, 2)} {
		t.Run(name, func(t *testing.T) {
			a, err := NewAverage(dev, []Group{g}, 0.5)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			want := []float64{1, 2}
			values := make([]float32, 2)
			for n := 1; n <= 20; n++ {
				for i := range values {
					values[i] = float32(slope(n, i))
					d := min(0.5, float64(1+n)/float64(10+n))
					want[i] = d*want[i] + (1-d)*slope(n, i)
				}
				write(t, dev, g.Weights, values)
				a.Add(n)
			}
			a.Swap()
			for i, w := range want {
				if got := float64(read(t, dev, g.Weights)[i]); math.Abs(got-w) > 1e-6 {
					t.Errorf("average %d is %g, want %g", i, got, w)
				}
			}
			a.Swap()
			if d := cmp.Diff(values, read(t, dev, g.Weights)); d != "" {
				t.Errorf("swapped twice, the weights are others (-want +got):\n%s", d)
			}
		})
	}
}

// padded is a group of several weights with room between them, which is zero.
func padded(t testing.TB, dev device.Device, lengths ...int) Group {
	t.Helper()
	var r chatglm.Run
	n := 0
	for i, length := range lengths {
		r.Params = append(r.Params, &chatglm.Param{Name: string(rune('a' + i)), Shape: []int{length}})
		r.Offsets = append(r.Offsets, n)
		n += (length + device.MomentBlock - 1) / device.MomentBlock * device.MomentBlock
	}
	r.Weights, r.Grad = device.Weights{W: tensor(t, dev, device.F32, n)}, tensor(t, dev, device.F32, n)
	for i, length := range lengths {
		for j := range length {
			r.Weights.W.Floats()[r.Offsets[i]+j] = device.Uniform(uint64(i), uint64(j)) - 0.5
		}
	}
	return Group{Run: r, Setting: Setting{Rate: 1, Decay: 0.01}}
}

// TestStateIsAllThereIs: what State lists is enough to go on from to the bit, with
// weights that fill no whole block of a moment of 8 bits; and the room between
// them stays zero.
func TestStateIsAllThereIs(t *testing.T) {
	lengths := []int{4097, 4500, 5001}
	for _, rule := range []Rule{AdamW{0.9, 0.999, 1e-8}, SGD{}, SGD{Momentum: 0.9, Nesterov: true}, Lion{0.9, 0.99}} {
		for _, narrow := range []bool{false, true} {
			dev := open(t)
			run := func(stop int) []float32 {
				g := padded(t, dev, lengths...)
				g.Narrow = narrow
				o, one := optimizer(t, dev, rule, g), factor(t, dev, 1)
				a, err := NewAverage(dev, []Group{g}, 0.9)
				if err != nil {
					t.Fatal(err)
				}
				for s := 1; s <= 6; s++ {
					for i, from := range g.Offsets {
						for j := range lengths[i] {
							g.Grad.Floats()[from+j] = float32(slope(s, j))
						}
					}
					o.Step(0.01, one)
					o.Done()
					a.Add(o.Steps())
					if s != stop {
						continue
					}
					fresh := optimizer(t, dev, rule, g)
					b, err := NewAverage(dev, []Group{g}, 0.9)
					if err != nil {
						t.Fatal(err)
					}
					pass(t, append(o.State(), a.State()...), append(fresh.State(), b.State()...))
					fresh.SetSteps(o.Steps())
					o, a = fresh, b
				}
				for i, from := range g.Offsets {
					end := g.Len()
					if i+1 < len(g.Offsets) {
						end = g.Offsets[i+1]
					}
					for j, w := range g.Weights.W.Floats()[from+lengths[i] : end] {
						if w != 0 {
							t.Errorf("%+v, narrow %t: number %d behind weight %d is %g", rule, narrow, j, i, w)
						}
					}
				}
				weights := read(t, dev, g.Weights)
				a.Swap()
				return append(weights, read(t, dev, g.Weights)...)
			}
			if d := cmp.Diff(run(0), run(3)); d != "" {
				t.Errorf("%+v, narrow %t (-undisturbed +restored):\n%s", rule, narrow, d)
			}
		}
	}
}

// pass copies one state into another.
func pass(t *testing.T, from, to []Tensor) {
	t.Helper()
	if len(from) != len(to) {
		t.Fatalf("%d tensors to copy to %d", len(from), len(to))
	}
	for i, f := range from {
		if f.Name != to[i].Name || f.N != to[i].N {
			t.Fatalf("tensor %d is %s of %d numbers, to be read %s of %d", i, f.Name, f.N, to[i].Name, to[i].N)
		}
		values := make([]float32, f.N)
		if err := f.Read(values); err != nil {
			t.Fatal(err)
		}
		if err := to[i].Write(values); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStateLiesAsItAlwaysDid: names and lengths in checkpoints, codes of 8 bits
// four in a float.
func TestStateLiesAsItAlwaysDid(t *testing.T) {
	dev := open(t)
	g := padded(t, dev, 4097, 4099)
	g.Narrow = true
	got := map[string]int{}
	for _, s := range optimizer(t, dev, AdamW{}, g).State() {
		got[s.Name] = s.N
	}
	want := map[string]int{
		"moment1/a": 1025, "moment1/a/scale": 17, "moment2/a": 1025, "moment2/a/scale": 17,
		"moment1/b": 1025, "moment1/b/scale": 17, "moment2/b": 1025, "moment2/b/scale": 17,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
