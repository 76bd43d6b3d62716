package chatglm

import (
	"context"
	"fmt"
	"slices"

	"github.com/glmflow/glmflow/gpu/device"
)

// A decoder runs the network over new tokens of several prompts, with a cache of
// the old ones, and picks what comes next. Everything a step needs is made once.
type decoder struct {
	m       *Model
	slots   int // prompts at most
	pages   *pages
	mem     device.Mem    // of what follows
	last    device.Tensor // [slots,H]a hidden states after each prompt's last token
	some    device.Tensor // [slots,H]a those of one pass
	score   device.Tensor // [slots,V]
	logprob device.Tensor // [slots] of the picked tokens
	lse     device.Tensor // [slots]
	picked  device.Ints   // [slots]
	seen    device.Ints   // [slots,⌈V/32⌉] ids that a repetition penalty is for
	topIDs  device.Ints   // [slots,k] the likeliest tokens, where they are asked for
	topped  device.Tensor // [slots,k] their scores
	k       int

	encoded bool    // the model's prefix is computed
	stepped []*turn // the prompts of the last pass, if it had one token of each
	fresh   bool    // and what was picked for them is what comes next
	table   []int32 // its pages
}

func (m *Model) newDecoder(slots int, o GenerateOptions) (*decoder, error) {
	d := &decoder{m: m, slots: slots, pages: newPages(m.dev, len(m.layers), m.cfg.heads())}
	if err := d.alloc(o); err != nil {
		return nil, err
	}
	return d, nil
}

// alloc takes memory for answers as o wants them, where what there is will not do.
func (d *decoder) alloc(o GenerateOptions) error {
	if !d.mem.Empty() && o.TopLogprobs <= d.k {
		return nil
	}
	c, f := d.m.cfg, d.m.dev.Info().Activations
	h, v := d.slots*c.HiddenSize, c.PaddedVocabSize
	words, top := d.slots*((v+31)/32), d.slots*o.TopLogprobs
	bytes := 0
	for _, n := range []int{h * f.Size(), h * f.Size(), 4 * d.slots * v, 4 * d.slots, 4 * d.slots, 4 * d.slots, 4 * words, 4 * top, 4 * top} {
		bytes += device.ArenaBytes(n)
	}
	mem, err := d.m.dev.Alloc(bytes)
	if err != nil {
		return fmt.Errorf("scores of %d prompts: %w", d.slots, err)
	}
	d.m.dev.Free(d.mem)
	a := device.NewArena(mem)
	d.mem, d.k = mem, o.TopLogprobs
	d.last, d.some, d.score = a.Tensor(f, h), a.Tensor(f, h), a.Tensor(device.F32, d.slots*v)
	d.logprob, d.lse = a.Tensor(device.F32, d.slots), a.Tensor(device.F32, d.slots)
	d.picked, d.seen = a.Ints(d.slots), a.Ints(words)
	d.topIDs, d.topped = a.Ints(top), a.Tensor(device.F32, top)
	return nil
}

func (d *decoder) close() {
	d.pages.close()
	d.m.dev.Free(d.mem)
}

// passTokens are run through the network at once: enough for its matrix
// products, few enough that long prompts need little memory and can be stopped.
const passTokens = 512

// reserve gives every turn the pages that its ids take, and makes room for
// passes over them.
func (d *decoder) reserve(turns []*turn) error {
	missing, longest := 0, 0
	for _, t := range turns {
		missing += max(0, pagesOf(len(t.ids))-max(len(t.pages), t.alike/device.PagePositions))
		longest = max(longest, len(t.ids))
	}
	if err := d.pages.reserve(missing); err != nil {
		return err
	}
	for _, t := range turns {
		for len(t.pages) < t.alike/device.PagePositions {
			t.pages = append(t.pages, d.pages.share(t.after.pages[len(t.pages)]))
		}
		for len(t.pages) < pagesOf(len(t.ids)) {
			t.pages = append(t.pages, d.pages.take())
		}
	}
	most := max(longest, min(2*longest, d.m.cfg.SeqLength)) // seldom anew
	before := d.m.buffers
	err := d.m.room(device.Limits{M: max(passTokens, d.slots), S: d.slots, N: d.slots, Pages: pagesOf(most)}, false)
	if d.m.buffers != before {
		d.stepped = nil
	}
	return err
}

// advance puts what the cache lacks of each turn's ids into it and has scores
// computed after the last of them, d.score.
func (d *decoder) advance(ctx context.Context, turns []*turn) error {
	if err := d.reserve(turns); err != nil {
		return err
	}
	for first := 0; first < len(turns); {
		if err := ctx.Err(); err != nil {
			return err
		}
		first = d.pass(turns, first)
	}
	n, h := len(turns), d.m.head()
	d.m.dev.Linear(d.score.Slice(0, n*h.V), d.last.Slice(0, n*h.H), n, &device.Linear{W: h.W, I: h.H, O: h.V})
	return nil
}

// pass runs up to passTokens of the turns from first on, and returns the first
// that is not through.
func (d *decoder) pass(turns []*turn, first int) int {
	b := device.Batch{CuSeqlens: []int32{0}}
	end := first
	for ; end < len(turns) && len(b.IDs) < passTokens && !turns[end].waits(); end++ {
		t := turns[end]
		next := t.ids[t.past:min(len(t.ids), t.past+passTokens-len(b.IDs))]
		for i, id := range next {
			b.IDs, b.Positions = append(b.IDs, id), append(b.Positions, int32(t.past+i))
		}
		b.CuSeqlens, b.Past = append(b.CuSeqlens, int32(len(b.IDs))), append(b.Past, int32(t.past))
		if t.past+len(next) == len(t.ids) {
			b.Rows = append(b.Rows, int32(len(b.IDs)-1))
		}
	}
	some := turns[first:end]
	b.Pages, b.Sampling = table(some), samplings(some)
	m, h := d.m, d.m.cfg.HiddenSize
	p := &pass{Pass: m.buffers.pass, activations: m.activations(len(b.IDs)), encoded: d.encoded, cache: d.pages.cache}
	if single := len(b.IDs) == len(turns) && len(some) == len(turns); single && d.fresh && slices.Equal(d.stepped, turns) && slices.Equal(d.table, b.Pages) {
		m.dev.Advance(p.Pass, d.picked.Slice(0, len(turns)))
	} else {
		m.dev.Prepare(p.Pass, b)
		d.stepped, d.table = nil, b.Pages
		if single {
			d.stepped = slices.Clone(turns)
		}
	}
	m.run(p)
	d.encoded, d.fresh = true, false
	d.collect(p, turns, first, h)
	for i, t := range some {
		t.past += int(b.CuSeqlens[i+1] - b.CuSeqlens[i])
	}
	if t := turns[end-1]; t.past < len(t.ids) {
		return end - 1
	}
	return end
}

// collect puts the hidden states that scores are wanted of in their places.
func (d *decoder) collect(p *pass, turns []*turn, first, h int) {
	if p.N == 0 {
		return
	}
	some := d.last.Slice(0, p.N*h)
	if first > 0 {
		some = d.some.Slice(0, p.N*h)
	}
	d.m.dev.Gather(some, p.xn, p.Pass, h)
	if first > 0 {
		d.m.dev.Copy(d.last.Slice(first*h, (first+p.N)*h), some)
	}
}

// table is the page table of turns, each as long as the longest.
func table(turns []*turn) []int32 {
	most := 0
	for _, t := range turns {
		most = max(most, len(t.pages))
	}
	all := make([]int32, 0, most*len(turns))
	for _, t := range turns {
		all = append(all, t.pages...)
		for range most - len(t.pages) {
			all = append(all, t.pages[len(t.pages)-1]) // never reached
		}
	}
	return all
}

func samplings(turns []*turn) []device.Sampling {
	all := make([]device.Sampling, len(turns))
	for i, t := range turns {
		all[i] = t.sampling
	}
	return all
}

// pick chooses each turn's next token by the scores that advance has left.
func (d *decoder) pick(turns []*turn, o GenerateOptions) ([]Token, error) {
	m, n, v := d.m, len(turns), d.m.cfg.PaddedVocabSize
	p := m.buffers.pass
	if p.S != n { // the last pass was of a part of the turns
		b := device.Batch{CuSeqlens: make([]int32, n+1), Past: make([]int32, n), Pages: table(turns), Sampling: samplings(turns)}
		for i, t := range turns {
			b.CuSeqlens[i+1], b.Past[i] = int32(i+1), int32(t.past-1)
		}
		m.dev.Prepare(p, b)
		d.stepped = nil
	}
	seen := device.Ints{}
	if p.Penalised {
		seen = d.seen.Slice(0, n*((v+31)/32))
		var bits []int32
		for _, t := range turns {
			bits = append(bits, t.seen...)
		}
		m.dev.Upload(seen.Mem, device.Raw(bits))
	}
	scores := d.score.Slice(0, n*v)
	ids, logprobs := make([]int32, n), make([]float32, n)
	topIDs, topped, lse := make([]int32, n*o.TopLogprobs), make([]float32, n*o.TopLogprobs), make([]float32, n)
	if o.TopLogprobs > 0 {
		m.dev.TopK(d.topIDs.Slice(0, len(topIDs)), d.topped.Slice(0, len(topped)), d.lse.Slice(0, n), scores, n, v, o.TopLogprobs)
		m.dev.Download(device.Raw(topIDs), d.topIDs.Slice(0, len(topIDs)).Mem)
		m.dev.Download(device.Raw(topped), d.topped.Slice(0, len(topped)).Mem)
		m.dev.Download(device.Raw(lse), d.lse.Slice(0, n).Mem)
	}
	m.dev.Sample(d.picked.Slice(0, n), seen, d.logprob.Slice(0, n), scores, p, v)
	m.dev.Download(device.Raw(ids), d.picked.Slice(0, n).Mem)
	m.dev.Download(device.Raw(logprobs), d.logprob.Slice(0, n).Mem)
	if err := m.dev.Sync(); err != nil {
		return nil, err
	}
	d.fresh = true
	tokens := make([]Token, n)
	for i, t := range turns {
		if ids[i] < 0 {
			return nil, fmt.Errorf("generate: prompt %d, token %d: %w", t.prompt, len(t.answer.Tokens), errScores)
		}
		tokens[i].ID = ids[i]
		t.see(ids[i])
		if o.Logprobs || o.TopLogprobs > 0 {
			tokens[i].Logprob = float64(logprobs[i])
		}
		for k := i * o.TopLogprobs; k < (i+1)*o.TopLogprobs; k++ {
			tokens[i].Top = append(tokens[i].Top, Alternative{topIDs[k], float64(topped[k] - lse[i])})
		}
	}
	return tokens, nil
}
