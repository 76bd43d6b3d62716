package chatglm

import "slices"

// Measure is [Model.Loss], and counts the targets of each sequence that are hit:
// no token of the vocabulary is likelier, nor as likely with a lower id.
func (m *Model) Measure(b Batch) (nll []float64, hits, targets []int, err error) {
	if nll, targets, err = m.Loss(b); err != nil {
		return nil, nil, nil, err
	}
	hits, err = m.hits(b)
	return nll, hits, targets, err
}

// scoredRows is how many rows of scores are in memory at a time.
const scoredRows = 128

// hits counts those of b, whose hidden states Loss has left behind.
func (m *Model) hits(b Batch) ([]int, error) {
	h, v := m.cfg.HiddenSize, m.cfg.PaddedVocabSize
	hits, wanted, sequence := make([]int, len(b.Starts)-1), b.targets(), 0
	for first := 0; first < len(wanted); first += scoredRows {
		rows := wanted[first:min(first+scoredRows, len(wanted))]
		if !slices.ContainsFunc(rows, func(t int32) bool { return t >= 0 }) {
			continue
		}
		scores, err := m.project(m.acts.xn.Slice(first*h, (first+len(rows))*h), len(rows))
		if err != nil {
			return nil, err
		}
		for i, target := range rows {
			for first+i >= int(b.Starts[sequence+1]) {
				sequence++
			}
			if target < 0 {
				continue
			}
			// Scores that are no numbers hit nothing.
			if id, err := likeliest(scores[i*v : (i+1)*v]); err == nil && id == target {
				hits[sequence]++
			}
		}
	}
	return hits, nil
}
