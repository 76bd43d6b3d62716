package finetune

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/glmflow/glmflow/gpu/chatglm"
)

// TestTheBestByAnyMetric: the weights that are kept are those whose metric the
// result tells, measured again.
func TestTheBestByAnyMetric(t *testing.T) {
	held := counting(6, 3, 1)
	for _, metric := range []string{Loss, Perplexity, Accuracy} {
		o := toyOptions()
		o.Method, o.Metric, o.MaxSteps, o.EvalEvery = Full, metric, 30, 2
		m := toyModel(t, open(t, 0))
		r, err := Run(t.Context(), m, counting(24, 0, 1), held, o, Hooks{})
		if err != nil {
			t.Fatal(err)
		}
		nll, hits, targets, err := m.Measure(batch(held, inOrder(len(held))))
		if err != nil {
			t.Fatal(err)
		}
		var loss, share, n float64
		for i := range nll {
			loss, share, n = loss+nll[i], share+float64(hits[i]), n+float64(targets[i])
		}
		if math.Abs(loss/n-*r.BestLoss) > 1e-6 {
			t.Errorf("%s: the model's loss is %g, the result says %g", metric, loss/n, *r.BestLoss)
		}
		if (r.BestAccuracy != nil) != (metric == Accuracy) {
			t.Errorf("%s: accuracy %v", metric, r.BestAccuracy)
		}
		if metric == Accuracy && (*r.BestAccuracy != share/n || share/n < 0.5) {
			t.Errorf("the model's accuracy is %g, the result says %g", share/n, *r.BestAccuracy)
		}
		for _, p := range r.Curve {
			if p.ValLoss == nil {
				continue
			}
			better := *p.ValLoss < *r.BestLoss
			if metric == Accuracy {
				better = *p.ValAccuracy > *r.BestAccuracy || *p.ValAccuracy == *r.BestAccuracy && p.Step < r.BestStep
			}
			if better {
				t.Errorf("%s: step %d was better than the best, %d", metric, p.Step, r.BestStep)
			}
		}
	}
}

// TestSmallGainsDoNotCount: with a least improvement training stops although it
// improves, and what it leaves are still the best weights.
func TestSmallGainsDoNotCount(t *testing.T) {
	o := toyOptions()
	o.MaxSteps, o.EvalEvery, o.Patience, o.LearningRate = 40, 1, 3, 1e-4
	run := func(delta float64) Result {
		o.MinDelta = delta
		r, err := Run(t.Context(), toyModel(t, open(t, 0)), counting(24, 0, 1), counting(6, 3, 1), o, Hooks{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := run(0); r.Stopped {
		t.Errorf("stopped after %d steps although every one is a gain", r.Steps)
	}
	if r := run(10); !r.Stopped || r.Steps != 3 || r.BestStep != 3 {
		t.Errorf("stopped %t after %d steps, the best is step %d; want a stop after 3, the best", r.Stopped, r.Steps, r.BestStep)
	}
}

// TestAverageIsWhatIsValidatedAndKept follows the weights of a run from outside.
func TestAverageIsWhatIsValidatedAndKept(t *testing.T) {
	for _, held := range [][]Example{nil, counting(6, 3, 1)} {
		o := toyOptions()
		o.EMA, o.EvalEvery, o.MaxSteps = 0.7, 0, 6
		m := toyModel(t, open(t, 1))
		if err := m.AddLoRA(o.LoRA, o.Seed); err != nil {
			t.Fatal(err)
		}
		average := trained(m)
		r, err := Run(t.Context(), m, counting(24, 0, 1), held, o, Hooks{OnStep: func(i StepInfo) {
			keep := min(0.7, float64(1+i.Step)/float64(10+i.Step))
			for k, w := range trained(m) {
				for j, v := range w {
					average[k][j] = float32(keep*float64(average[k][j]) + (1-keep)*float64(v))
				}
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(average, trained(m), cmpopts.EquateApprox(0, 1e-6)); d != "" {
			t.Errorf("(-average +left):\n%s", d)
		}
		if held != nil {
			if got := meanLoss(t, m, held); r.BestStep != 6 || math.Abs(got-*r.BestLoss) > 1e-6 {
				t.Errorf("the average's loss is %g; validation found %g at step %d", got, *r.BestLoss, r.BestStep)
			}
		}
	}
}

// TestMeanOfMeans takes one step of plain gradient descent on two micro-batches
// of different length, and on each alone: by batches, it is half of each.
func TestMeanOfMeans(t *testing.T) {
	long, short := counting(8, 0, 1)[3], counting(8, 2, 1)[0] // eight tokens and seven, some without a target
	short.Labels[1], short.Labels[2], short.Labels[3] = -100, -100, -100
	step := func(by string, examples ...Example) (Point, [][]float32) {
		o := toyOptions()
		o.Method, o.Optimizer, o.Momentum, o.ClipNorm, o.Shuffle = Full, SGD, 0, 0, false
		o.LearningRate, o.WarmupSteps, o.MaxSteps, o.BatchTokens, o.AccumulateBy = 0.1, 0, 1, 1, by
		m := toyModel(t, open(t, 1))
		r, err := Run(t.Context(), m, examples, nil, o, Hooks{})
		if err != nil {
			t.Fatal(err)
		}
		return r.Curve[0], trained(m)
	}
	a, wa := step(ByTokens, long)
	b, wb := step(ByBatches, short)
	for by, share := range map[string]float64{ByBatches: 0.5, ByTokens: 7.0 / 10} { // seven targets and three
		got, w := step(by, long, short)
		if want := share*a.Loss + (1-share)*b.Loss; math.Abs(got.Loss-want) > 1e-6 {
			t.Errorf("by %s: loss %g, want %g", by, got.Loss, want)
		}
		for i := range w {
			for j, v := range w[i] {
				if want := share*float64(wa[i][j]) + (1-share)*float64(wb[i][j]); math.Abs(float64(v)-want) > 1e-6 {
					t.Fatalf("by %s: weight %d,%d is %g, want %g", by, i, j, v, want)
				}
			}
		}
	}
}

// TestWhatIsDecayed: only what no_decay does not name.
func TestWhatIsDecayed(t *testing.T) {
	m := toyModel(t, open(t, 1))
	if err := m.TrainAll(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		spared []string
		want   map[string]bool // of the parameters that are not matrices of linears
	}{
		{DefaultOptions().NoDecay, map[string]bool{Embeddings: true}},
		{nil, map[string]bool{Norms: true, Biases: true, Embeddings: true}},
		{[]string{Embeddings}, map[string]bool{Norms: true, Biases: true}},
	} {
		o := toyOptions()
		o.WeightDecay, o.NoDecay = 0.1, c.spared
		of := map[string]*chatglm.Param{}
		for _, p := range m.Trainable() {
			of[kind(p)] = p
			decay := o.setting(p).Decay
			if want := kind(p) == "" || c.want[kind(p)]; (decay == 0.1) != want {
				t.Errorf("spared %v: %s is decayed by %g", c.spared, p.Name, decay)
			}
		}
		if len(of) != 4 {
			t.Errorf("the model has %d kinds of parameters", len(of))
		}
	}
}
