package chatglm_test

import (
	"slices"
	"testing"

	"github.com/glmflow/glmflow/gpu/chatglm"
)

// TestMeasureCountsHits compares with the scores of every token, in batches with
// empty sequences and more rows than are scored at a time.
func TestMeasureCountsHits(t *testing.T) {
	m, err := chatglm.New(tinyConfig(), newDeferring(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	lessons := []chatglm.Sequence{lesson(5), {}, lesson(200), lesson(90), {IDs: make([]int32, 140)}, lesson(40)}
	var last chatglm.Batch
	var scores []float32
	for round := range 2 {
		last = chatglm.Pack(lessons)
		if scores, err = m.Logits(last); err != nil {
			t.Fatal(err)
		}
		if round == 0 { // make every second target a hit
			v := tinyConfig().PaddedVocabSize
			for s := range lessons {
				for i := 1; i < len(lessons[s].Labels); i += 2 {
					row := scores[(int(last.CuSeqlens[s])+i-1)*v:][:v]
					lessons[s].Labels[i] = int32(slices.Index(row, slices.Max(row)))
				}
			}
		}
	}
	nll, hits, targets, err := m.Measure(last)
	if err != nil {
		t.Fatal(err)
	}
	v, all := tinyConfig().PaddedVocabSize, 0
	for s, lesson := range lessons {
		want := 0
		for i := 1; i < len(lesson.Labels); i++ {
			row := scores[(int(last.CuSeqlens[s])+i-1)*v:][:v]
			if slices.Index(row, slices.Max(row)) == int(lesson.Labels[i]) {
				want++
			}
		}
		if hits[s] != want || targets[s] != max(0, len(lesson.Labels)-1) {
			t.Errorf("sequence %d: %d hits of %d, want %d of %d", s, hits[s], targets[s], want, len(lesson.Labels)-1)
		}
		all += want
	}
	if all < 150 {
		t.Errorf("%d hits in all: is there anything to count?", all)
	}
	loss, _, err := m.Loss(last)
	if err != nil || !slices.Equal(loss, nll) {
		t.Errorf("Measure has losses %v, Loss %v (%v)", nll, loss, err)
	}
}
