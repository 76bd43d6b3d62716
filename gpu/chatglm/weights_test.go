package chatglm

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestWeightsOfLabels: a label's weight multiplies what it adds to the gradients
// and leaves its loss alone; weight 0 is no label, negative ones push away.
func TestWeightsOfLabels(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	a, b := randomSequence(r, 9, 300), randomSequence(r, 6, 300)
	gradient := func(scaleA, scaleB float32, weighted bool) (all []float64, loss float64) {
		m := tiny(t, newReference(t), nil)
		if err := m.TrainAll(); err != nil {
			t.Fatal(err)
		}
		if weighted {
			with := func(s Sequence, w float32) Sequence {
				s.Weights = make([]float32, len(s.IDs))
				for i := range s.Weights {
					s.Weights[i] = w
				}
				return s
			}
			var err error
			if loss, _, err = accumulate(m, Pack([]Sequence{with(a, scaleA), with(b, scaleB)}), 1, 0); err != nil {
				t.Fatal(err)
			}
		} else {
			for s, scale := range map[*Sequence]float32{&a: scaleA, &b: scaleB} {
				each, _, err := accumulate(m, Pack([]Sequence{*s}), scale, 0)
				if err != nil {
					t.Fatal(err)
				}
				loss += each
			}
		}
		for _, p := range m.Trainable() {
			for _, g := range p.Grad.Floats() {
				all = append(all, float64(g))
			}
		}
		return all, loss
	}
	for _, scales := range [][2]float32{{1, 1}, {2, 0.5}, {0, 1}, {-1, 0.25}} {
		want, wantLoss := gradient(scales[0], scales[1], false)
		got, loss := gradient(scales[0], scales[1], true)
		if math.Abs(loss-wantLoss) > 1e-4 {
			t.Errorf("weights %v: loss %g, want %g", scales, loss, wantLoss)
		}
		for i, g := range got {
			if math.Abs(g-want[i]) > 1e-5 {
				t.Fatalf("weights %v: gradient %d is %g, want %g", scales, i, g, want[i])
			}
		}
	}
}

// TestLogProbs are the logits' own.
func TestLogProbs(t *testing.T) {
	m := tiny(t, newReference(t), nil)
	r := rand.New(rand.NewPCG(4, 4))
	b := Pack([]Sequence{randomSequence(r, 8, 300), randomSequence(r, 5, 300)})
	got, err := m.LogProbs(b)
	if err != nil {
		t.Fatal(err)
	}
	logits, err := m.Logits(b)
	if err != nil {
		t.Fatal(err)
	}
	v := m.cfg.PaddedVocabSize
	for i, target := range b.targets() {
		want := 0.0
		if target >= 0 {
			row := logits[i*v : (i+1)*v]
			want = float64(row[target]) - logSumExp(row)
		}
		if math.Abs(float64(got[i])-want) > 1e-5 {
			t.Errorf("token %d has log-probability %g, by its logits %g", i, got[i], want)
		}
	}
}
