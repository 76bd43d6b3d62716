package chatglm

import (
	"context"
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

// A decoder runs the network over new tokens with a cache of the old ones.
// Everything a step needs is made once.
type decoder struct {
	m     *Model
	slots int
	cache []device.Cache // of each layer
	last  device.Mem     // [slots,H] hidden states after each turn's last token
	score device.Mem     // [slots,V]
	host  []float32      // score, on the host

	encoded bool // the model's prefix is computed

	// The tokens of a pass, and where they go.
	ids, pos, to, past, starts []int32
}

func (m *Model) newDecoder(slots int) (*decoder, error) {
	d := &decoder{m: m, slots: slots, cache: make([]device.Cache, len(m.layers)), host: make([]float32, slots*m.cfg.PaddedVocabSize)}
	var err error
	if d.last, err = m.dev.Alloc(slots * m.cfg.HiddenSize); err != nil {
		return nil, fmt.Errorf("hidden states of %d prompts: %w", slots, err)
	}
	if d.score, err = m.dev.Alloc(len(d.host)); err != nil {
		d.close()
		return nil, fmt.Errorf("scores of %d prompts: %w", slots, err)
	}
	return d, nil
}

func (d *decoder) close() {
	for _, c := range d.cache {
		d.free(c.K, c.V)
	}
	d.free(d.last, d.score)
}

func (d *decoder) free(all ...device.Mem) {
	for _, mem := range all {
		if !mem.Empty() {
			d.m.dev.Free(mem)
		}
	}
}

// cacheStep is what the lengths of caches are multiples of.
const cacheStep = 64

// reserve makes room for length positions in every slot. It asks for half as
// much again as there was, so that a long answer is seldom copied, and for one
// layer at a time, so that little is there twice.
func (d *decoder) reserve(length int, turns []*turn) error {
	line := d.m.cfg.heads().G * d.m.cfg.KVChannels
	for i := range d.cache {
		old := d.cache[i]
		if length <= old.Max {
			continue
		}
		grown := min((max(length, old.Max+old.Max/2)+cacheStep-1)/cacheStep*cacheStep, max(length, d.m.cfg.SeqLength))
		next := device.Cache{Max: grown}
		var err error
		if next.K, err = d.m.dev.Alloc(d.slots * grown * line); err == nil {
			next.V, err = d.m.dev.Alloc(d.slots * grown * line)
		}
		if err != nil {
			d.free(next.K)
			return fmt.Errorf("cache for %d prompts of %d tokens: %w", d.slots, grown, err)
		}
		for _, t := range turns {
			if n := t.past * line; n > 0 {
				from, to := t.slot*old.Max*line, t.slot*grown*line
				d.m.dev.Copy(next.K.Slice(to, to+n), old.K.Slice(from, from+n))
				d.m.dev.Copy(next.V.Slice(to, to+n), old.V.Slice(from, from+n))
			}
		}
		d.free(old.K, old.V)
		d.cache[i] = next
	}
	return nil
}

// passTokens are run through the network at once: enough for its matrix
// products, few enough that long prompts need little memory and can be stopped.
const passTokens = 512

// advance puts what the cache lacks of each turn's ids into it and returns the
// scores after the last of them, [turns,V], good until the next call.
func (d *decoder) advance(ctx context.Context, turns []*turn) ([]float32, error) {
	longest := 0
	for _, t := range turns {
		longest = max(longest, len(t.ids))
	}
	if err := d.reserve(longest, turns); err != nil {
		return nil, err
	}
	for first := 0; first < len(turns); {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var err error
		if first, err = d.pass(turns, first); err != nil {
			return nil, err
		}
	}
	c := d.m.cfg
	n := len(turns) * c.PaddedVocabSize
	d.m.dev.Linear(front(d.score, n), front(d.last, len(turns)*c.HiddenSize), len(turns), &device.Linear{W: d.m.out.matrix(), I: c.HiddenSize, O: c.PaddedVocabSize})
	d.m.dev.Download(d.host[:n], front(d.score, n))
	return d.host[:n], d.m.dev.Sync()
}

// pass runs up to passTokens of the turns from first on, and returns the first
// that is not through.
func (d *decoder) pass(turns []*turn, first int) (int, error) {
	m, s, h := d.m, d.m.cfg.heads(), d.m.cfg.HiddenSize
	d.ids, d.pos, d.to, d.past, d.starts = d.ids[:0], d.pos[:0], d.to[:0], d.past[:0], append(d.starts[:0], 0)
	end := first
	for ; end < len(turns) && len(d.ids) < passTokens; end++ {
		t := turns[end]
		next := t.ids[t.past:min(len(t.ids), t.past+passTokens-len(d.ids))]
		d.to, d.past = append(d.to, int32(t.slot)), append(d.past, int32(t.past))
		d.ids = append(d.ids, next...)
		for i := range next {
			d.pos = append(d.pos, int32(t.past+i))
		}
		d.starts = append(d.starts, int32(len(d.ids)))
	}
	n := len(d.ids)
	a, err := m.room(n, false)
	if err != nil {
		return first, err
	}
	m.run(a, d.ids, pass{pos: d.pos, encoded: d.encoded, attend: func(layer int, la *layerActs) {
		m.dev.AttentionCached(front(la.o, n*m.cfg.projection()), front(la.qkv, n*s.Width()), d.cache[layer], d.to, d.past, d.starts, s, m.prefixAt(layer))
	}})
	d.encoded = true
	for k := first; k < end; k++ {
		t, last := turns[k], int(d.starts[k-first+1])
		m.dev.Copy(d.last.Slice(k*h, (k+1)*h), a.xn.Slice((last-1)*h, last*h))
		t.past += last - int(d.starts[k-first])
	}
	if t := turns[end-1]; t.past < len(t.ids) {
		return end - 1, nil
	}
	return end, nil
}
