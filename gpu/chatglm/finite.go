package chatglm

import (
	"errors"
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

// ErrNotFinite says that a weight holds what is no number, or infinite.
var ErrNotFinite = errors.New("not finite")

// CheckFinite reads all weights and names the first that is not finite. That
// takes as long as reading the model: it is for when something came out that is
// no number.
func (m *Model) CheckFinite() error {
	for _, p := range m.params {
		bad, err := m.notFinite(p)
		if err != nil {
			return fmt.Errorf("weight %s: %w", p.Name, err)
		}
		if bad > 0 {
			return fmt.Errorf("%d of the %d numbers of weight %s are %w: its file is damaged, or it was trained until it diverged", bad, p.Len(), p.Name, ErrNotFinite)
		}
	}
	return nil
}

// notFinite counts the numbers of p that are not finite. Of quantised weights
// opening looks at every scale, and nothing else of them can be bad.
func (m *Model) notFinite(p *Param) (int, error) {
	f := p.Narrow.Format
	if p.Narrow.Empty() {
		return m.notFiniteIn(p.W)
	}
	if f.Quantised() {
		return 0, nil
	}
	c := finiteCounter{format: f, width: f.Row(1)}
	err := m.stream(&c, p)
	return c.bad, err
}

func (m *Model) notFiniteIn(mem device.Mem) (bad int, err error) {
	values := make([]float32, min(mem.Len(), finitePiece))
	for from := 0; from < mem.Len(); from += len(values) {
		part := values[:min(len(values), mem.Len()-from)]
		m.dev.Download(part, mem.Slice(from, from+len(part)))
		if err := m.dev.Sync(); err != nil {
			return 0, err
		}
		bad += countNotFinite(part)
	}
	return bad, nil
}

// finitePiece is how many numbers are looked at at a time.
const finitePiece = 1 << 16

// A finiteCounter counts among the numbers of a plain format, whose bytes are
// written to it.
type finiteCounter struct {
	format device.Format
	width  int // bytes of a number
	bad    int
}

func (c *finiteCounter) Write(b []byte) (int, error) {
	values := make([]float32, min(len(b)/c.width, finitePiece))
	for at := 0; at < len(b); at += len(values) * c.width {
		part := values[:min(len(values), (len(b)-at)/c.width)]
		c.format.Decode(part, b[at:at+len(part)*c.width], nil)
		c.bad += countNotFinite(part)
	}
	return len(b), nil
}

func countNotFinite(values []float32) (n int) {
	for _, v := range values {
		if v-v != 0 {
			n++
		}
	}
	return n
}
