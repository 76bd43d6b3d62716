package chatglm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/glmflow/glmflow/gpu/device"
)

// GenerateOptions say how to continue prompts.
type GenerateOptions struct {
	MaxNew      int     // tokens at most; 0 means 256
	Temperature float32 // 0 always takes the likeliest token
	TopK        int     // sample among so many tokens; 0 among all
	TopP        float32 // sample among the likeliest that together have this probability; 0 means 1
	Seed        uint64  // of sampling; with the prompt it decides an answer, whatever else is in the batch
	Stop        []int32 // ids that end an answer and are not part of it

	// OnToken hears of each new token, nil of none.
	OnToken func(prompt int, id int32)
}

// Generate continues each prompt until a stop id, MaxNew tokens or the model's
// sequence length, and returns the new ids. Prompts of different lengths share
// the work; every one gets the answer it would get alone.
func (m *Model) Generate(ctx context.Context, prompts [][]int32, o GenerateOptions) ([][]int32, error) {
	if o.MaxNew == 0 {
		o.MaxNew = 256
	}
	if o.MaxNew < 0 || !(o.Temperature >= 0) || o.TopK < 0 || !(o.TopP >= 0 && o.TopP <= 1) {
		return nil, errors.New("generate: options must not be negative, and top-p at most 1")
	}
	out := make([][]int32, len(prompts))
	if len(prompts) == 0 {
		return out, nil
	}
	longest := 0
	for i, p := range prompts {
		if len(p) == 0 {
			return nil, fmt.Errorf("generate: prompt %d is empty", i)
		}
		if len(p) > m.cfg.SeqLength {
			return nil, fmt.Errorf("generate: prompt %d has %d tokens, the model was made for %d", i, len(p), m.cfg.SeqLength)
		}
		for k, id := range p {
			if id < 0 || int(id) >= m.cfg.PaddedVocabSize {
				return nil, fmt.Errorf("generate: prompt %d, token %d: id %d: the vocabulary has %d ids", i, k, id, m.cfg.PaddedVocabSize)
			}
		}
		longest = max(longest, len(p))
	}
	d, err := m.newDecoder(len(prompts), longest+min(o.MaxNew, m.cfg.SeqLength-longest))
	if err != nil {
		return nil, err
	}
	defer d.close()
	turns := make([]*turn, len(prompts))
	for i, p := range prompts {
		turns[i] = &turn{index: i, next: p, sampler: newSampler(o, p)}
	}
	for len(turns) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		scores, err := d.advance(turns)
		if err != nil {
			return nil, err
		}
		v := m.cfg.PaddedVocabSize
		var open []*turn
		for k, t := range turns {
			id, err := t.sampler.pick(scores[k*v : (k+1)*v])
			if err != nil {
				return nil, fmt.Errorf("generate: prompt %d, token %d: %w", t.index, len(out[t.index]), err)
			}
			if slices.Contains(o.Stop, id) {
				continue
			}
			out[t.index] = append(out[t.index], id)
			if o.OnToken != nil {
				o.OnToken(t.index, id)
			}
			if len(out[t.index]) < o.MaxNew && t.past < m.cfg.SeqLength {
				t.next = []int32{id}
				open = append(open, t)
			}
		}
		turns = open
	}
	return out, nil
}

// A turn is one prompt on its way.
type turn struct {
	index   int     // of the prompt, and its slot in the cache
	past    int     // tokens in the cache
	next    []int32 // tokens to put in
	sampler *sampler
}

// A decoder runs the network over new tokens with a cache of the old ones.
type decoder struct {
	m      *Model
	caches []device.Cache
	last   device.Mem // [prompts,H]
}

func (m *Model) newDecoder(slots, length int) (*decoder, error) {
	d := &decoder{m: m}
	s := m.cfg.heads()
	for range m.layers {
		k, err := m.dev.Alloc(slots * length * s.G * s.D)
		if err != nil {
			d.close()
			return nil, fmt.Errorf("cache for %d prompts of %d tokens: %w", slots, length, err)
		}
		v, err := m.dev.Alloc(slots * length * s.G * s.D)
		if err != nil {
			m.dev.Free(k)
			d.close()
			return nil, fmt.Errorf("cache for %d prompts of %d tokens: %w", slots, length, err)
		}
		d.caches = append(d.caches, device.Cache{K: k, V: v, Max: length})
	}
	var err error
	if d.last, err = m.dev.Alloc(slots * m.cfg.HiddenSize); err != nil {
		d.close()
		return nil, fmt.Errorf("hidden states of %d prompts: %w", slots, err)
	}
	return d, nil
}

func (d *decoder) close() {
	for _, c := range d.caches {
		d.m.dev.Free(c.K)
		d.m.dev.Free(c.V)
	}
	if !d.last.Empty() {
		d.m.dev.Free(d.last)
	}
}

// advance puts each turn's next tokens into the cache and returns the scores
// after the last of them, [turns,V].
func (d *decoder) advance(turns []*turn) ([]float32, error) {
	m, s, h := d.m, d.m.cfg.heads(), d.m.cfg.HiddenSize
	var ids, pos, slots, past []int32
	starts := []int32{0}
	for _, t := range turns {
		slots, past = append(slots, int32(t.index)), append(past, int32(t.past))
		for i, id := range t.next {
			ids, pos = append(ids, id), append(pos, int32(t.past+i))
		}
		starts = append(starts, int32(len(ids)))
	}
	n := len(ids)
	a, err := m.room(n, false)
	if err != nil {
		return nil, err
	}
	m.run(a, ids, pass{pos: pos, attend: func(layer int, la *layerActs) {
		m.dev.AttentionCached(front(la.o, n*m.cfg.projection()), front(la.qkv, n*s.Width()), d.caches[layer], slots, past, starts, s)
	}})
	for k, t := range turns {
		end := int(starts[k+1])
		m.dev.Copy(d.last.Slice(k*h, (k+1)*h), a.xn.Slice((end-1)*h, end*h))
		t.past += len(t.next)
	}
	return m.project(front(d.last, len(turns)*h), len(turns))
}
