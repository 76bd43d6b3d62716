package chatglm

import "github.com/glmflow/glmflow/gpu/device"

// Measure is [Model.Loss], and counts the targets of each sequence that are hit:
// no token of the vocabulary is likelier, nor as likely with a lower id.
func (m *Model) Measure(b Batch) (nll []float64, hits, targets []int, err error) {
	var each *Losses
	hit := make([]int32, len(b.IDs))
	err = m.dev.Do(func() error {
		p, err := m.forward(b)
		if err != nil {
			return err
		}
		m.dev.CrossEntropy(p.nll, p.hits, device.Tensor{}, p.xn, p.Pass, m.head(), nil, 1, device.Objective{})
		each = m.losses(p, b)
		m.dev.Download(device.Raw(hit), p.hits.Mem)
		return m.dev.Sync()
	})
	if err != nil {
		return nil, nil, nil, err
	}
	n := len(b.CuSeqlens) - 1
	nll, hits, targets = make([]float64, n), make([]int, n), make([]int, n)
	for i := range n {
		for t := b.CuSeqlens[i]; t < b.CuSeqlens[i+1]; t++ {
			if each.targets[t] < 0 {
				continue
			}
			nll[i] += float64(each.values[t])
			targets[i]++
			if hit[t] == 1 {
				hits[i]++
			}
		}
	}
	return nll, hits, targets, nil
}

// Losses are those of a batch's tokens. They are there after the device's next
// Sync.
type Losses struct {
	values  []float32 // [M]
	targets []int32   // [M], negative where there is none
}

// losses has those of p come to the host.
func (m *Model) losses(p *pass, b Batch) *Losses {
	l := &Losses{make([]float32, len(b.IDs)), b.targets()}
	m.dev.Download(device.Raw(l.values), p.nll.Mem)
	return l
}

// Sum adds them up, in nats, and counts the targets.
func (l *Losses) Sum() (loss float64, targets int) {
	for t, v := range l.values {
		if l.targets[t] >= 0 {
			loss += float64(v)
			targets++
		}
	}
	return loss, targets
}

// LogProbs computes log p of each token's target, 0 where there is none, [M]:
// what comparing answers needs.
func (m *Model) LogProbs(b Batch) ([]float32, error) {
	var each *Losses
	err := m.dev.Do(func() error {
		p, err := m.forward(b)
		if err != nil {
			return err
		}
		m.dev.CrossEntropy(p.nll, device.Ints{}, device.Tensor{}, p.xn, p.Pass, m.head(), nil, 1, device.Objective{})
		each = m.losses(p, b)
		return m.dev.Sync()
	})
	if err != nil {
		return nil, err
	}
	for i := range each.values {
		each.values[i] = -each.values[i]
	}
	return each.values, nil
}
