package evaluate

import (
	"math"
	"slices"

	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/stages/evaluate/metrics"
)

// score turns what was measured into a row: metrics, samples and verdict.
func (e *evaluation) score() (schemas.ScoreRow, error) {
	segment := metrics.Characters
	if e.config.Segment == segmentWords && len(e.questions) > 0 {
		var err error
		if segment, err = e.words(); err != nil {
			return schemas.ScoreRow{}, err
		}
	}
	var row schemas.ScoreRow
	for _, slice := range e.slices() {
		row.Metrics = append(row.Metrics, e.lossMetrics(slice)...)
		row.Metrics = append(row.Metrics, e.answerMetrics(slice, segment)...)
	}
	for _, c := range e.conversations {
		row.Targets += int64(c.targets)
	}
	row.Rows = int64(len(e.conversations))
	row.Samples = e.samples()
	row.Rules, row.Passed = judge(e.config.Gate, row.Metrics)
	return row, nil
}

// slices are "all" and every language that occurs, by name.
func (e *evaluation) slices() []string {
	var langs []string
	for _, c := range e.conversations {
		if c.lang != "" && !slices.Contains(langs, c.lang) {
			langs = append(langs, c.lang)
		}
	}
	slices.Sort(langs)
	return append([]string{sliceAll}, langs...)
}

func in(slice, lang string) bool { return slice == sliceAll || slice == lang }

// lossMetrics are loss and perplexity on a slice. Conversations weigh as much as
// they have targets.
func (e *evaluation) lossMetrics(slice string) []schemas.Metric {
	var pairs []metrics.Pair
	for _, c := range e.conversations {
		if in(slice, c.lang) {
			pairs = append(pairs, metrics.Pair{Baseline: c.nll[baseline], Candidate: c.nll[candidate], Weight: float64(c.targets)})
		}
	}
	return []schemas.Metric{
		e.compare(metricLoss, slice, pairs, nil),
		e.compare(metricPerplexity, slice, pairs, perplexity),
	}
}

// perplexity is e to the loss, kept finite: no file or chart can hold more.
func perplexity(loss float64) float64 { return min(math.Exp(loss), math.MaxFloat64) }

// answerMetrics are BLEU and ROUGE of the answers on a slice, or none where
// nothing was asked.
func (e *evaluation) answerMetrics(slice string, segment metrics.Segment) []schemas.Metric {
	pairs := make([][]metrics.Pair, len(answerMetrics))
	for _, q := range e.questions {
		if !in(slice, q.lang) {
			continue
		}
		reference := segment(q.reference)
		var scores [2][]float64
		for who, text := range q.answers {
			answer := segment(text)
			rouge := metrics.Rouge(answer, reference)
			scores[who] = []float64{metrics.BLEU4(answer, reference), rouge.One, rouge.Two, rouge.L}
		}
		for i := range pairs {
			pairs[i] = append(pairs[i], metrics.Pair{Baseline: scores[baseline][i], Candidate: scores[candidate][i], Weight: 1})
		}
	}
	if len(pairs[0]) == 0 {
		return nil
	}
	measured := make([]schemas.Metric, len(answerMetrics))
	for i, name := range answerMetrics {
		measured[i] = e.compare(name, slice, pairs[i], nil)
		measured[i].HigherIsBetter = true
	}
	return measured
}

func (e *evaluation) compare(name, slice string, pairs []metrics.Pair, scale func(float64) float64) schemas.Metric {
	c := metrics.Compare(pairs, metrics.Options{Resamples: e.config.Resamples, Seed: e.config.Seed, Scale: scale})
	return schemas.Metric{
		Name: name, Slice: slice, N: int64(c.N),
		Baseline: c.Baseline, Candidate: c.Candidate, Low: c.Low, High: c.High,
	}
}

// samples shows the first questions with both answers.
func (e *evaluation) samples() []schemas.Sample {
	shown := e.questions[:min(len(e.questions), e.config.Samples)]
	samples := make([]schemas.Sample, len(shown))
	for i, q := range shown {
		samples[i] = schemas.Sample{
			ID: q.id, Prompt: clip(q.asked), Reference: clip(q.reference),
			Baseline: clip(q.answers[baseline]), Candidate: clip(q.answers[candidate]),
		}
	}
	return samples
}

// clip shortens a text for show: an event that carries the score has to fit
// into a message.
func clip(text string) string {
	const most = 1500
	n := 0
	for i := range text {
		if n == most {
			return text[:i] + "…"
		}
		n++
	}
	return text
}
