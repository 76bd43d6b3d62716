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

// notFinite counts the numbers of p that are not finite. Of a quantised weight
// those are its scales'.
func (m *Model) notFinite(p *Param) (int, error) {
	if p.W.Format.Quantised() {
		return m.notFiniteIn(device.F32, p.W.Scales.Mem)
	}
	return m.notFiniteIn(p.W.Format, p.W.Data)
}

// finitePiece is how many numbers are looked at at a time.
const finitePiece = 1 << 16

func (m *Model) notFiniteIn(f device.Format, mem device.Mem) (bad int, err error) {
	raw, values := make([]byte, min(mem.N, finitePiece*f.Size())), make([]float32, finitePiece)
	for from := 0; from < mem.N; from += len(raw) {
		part := raw[:min(len(raw), mem.N-from)]
		m.dev.Download(part, mem.Slice(from, from+len(part)))
		if err := m.dev.Sync(); err != nil {
			return 0, err
		}
		few := values[:len(part)/f.Size()]
		f.Decode(few, part, nil)
		bad += countNotFinite(few)
	}
	return bad, nil
}

func countNotFinite(values []float32) (n int) {
	for _, v := range values {
		if v-v != 0 {
			n++
		}
	}
	return n
}
