package devicetest

import (
	"fmt"
	"math/rand/v2"

	"github.com/glmflow/glmflow/gpu/device"
)

// A conversation is a sequence whose first positions are in a cache.
type conversation struct {
	past, fresh int
	pages       []int32   // of the cache, in the order of positions
	whole       []float64 // [past+fresh, (A+2G)·D] rows as attention reads them
}

// A pagedCase is conversations over one cache. Pages nobody has hold NaNs, and
// so does what lies behind a conversation's end: another that diverged may have
// left them there.
type pagedCase struct {
	heads          device.Heads
	active, cached device.Format
	pages          int
	prefix         int
	talks          []*conversation
	shared         int // positions that all have in common, in the first's pages
}

const page = device.PagePositions

// rows draws n rows: queries that BF16 has, as in attentionCase, and keys and
// values of all digits, of which the cache keeps what its format has.
func (p *pagedCase) rows(r *rand.Rand, n int) []float64 {
	s := p.heads
	var rows []float64
	for range n {
		rows = append(rows, draw(r, device.BF16, s.A*s.D, 1)...)
		rows = append(rows, draw(r, p.active, 2*s.G*s.D, 1)...)
	}
	return rows
}

// kept is rows as they are attended to: keys and values through the cache.
func (p *pagedCase) kept(rows []float64) []float64 {
	y := append([]float64(nil), rows...)
	for i := range y {
		if i%p.heads.Width() >= p.heads.A*p.heads.D {
			y[i] = rounded(p.cached, y[i])
		}
	}
	return y
}

// a cacheImage is the bytes of keys and values.
type cacheImage struct{ k, v []byte }

func (p *pagedCase) newCache() cacheImage {
	n := p.pages * page * p.heads.G * p.heads.D * p.cached.Size()
	c := cacheImage{make([]byte, n), make([]byte, n)}
	poison(c.k, 0)
	poison(c.v, 0)
	return c
}

func (c cacheImage) clone() cacheImage {
	return cacheImage{append([]byte(nil), c.k...), append([]byte(nil), c.v...)}
}

// write puts positions from ≤ i < to of a conversation where its pages are.
func (p *pagedCase) write(c cacheImage, t *conversation, from, to int) {
	s, line := p.heads, p.heads.G*p.heads.D
	for i := from; i < to; i++ {
		at := (int(t.pages[i/page])*page + i%page) * line * p.cached.Size()
		row := t.whole[i*s.Width():][:s.Width()]
		copy(c.k[at:], encode(p.cached, row[s.A*s.D:][:line]))
		copy(c.v[at:], encode(p.cached, row[(s.A+s.G)*s.D:][:line]))
	}
}

// answer is attention of positions from ≤ i < to of a conversation.
func (p *pagedCase) answer(t *conversation, f fixed, from, to int) []float64 {
	var all []float64
	rows := p.kept(t.whole)
	for m := from; m < to; m++ {
		o, _ := attend(rows, p.heads, f, 0, m)
		all = append(all, o...)
	}
	return all
}

// batch is all conversations' next rows, with a page table as wide as the widest.
func (p *pagedCase) batch() device.Batch {
	b := device.Batch{CuSeqlens: []int32{0}}
	width := 0
	for _, t := range p.talks {
		width = max(width, len(t.pages))
	}
	for _, t := range p.talks {
		b.Past = append(b.Past, int32(t.past))
		b.CuSeqlens = append(b.CuSeqlens, b.CuSeqlens[len(b.CuSeqlens)-1]+int32(t.fresh))
		b.Pages = append(b.Pages, t.pages...)
		for range width - len(t.pages) {
			b.Pages = append(b.Pages, p.talks[0].pages[0]) // which are not this one's to touch
		}
	}
	return b
}

// draw fills in the rows of all conversations.
func (p *pagedCase) draw(r *rand.Rand) {
	for _, t := range p.talks {
		t.whole = p.rows(r, t.past+t.fresh)
		copy(t.whole, p.talks[0].whole[:p.shared*p.heads.Width()])
	}
}

func (p *pagedCase) newPrefix(name string) (fixed, table) {
	r, line := random("prefix of "+name), p.heads.G*p.heads.D
	f := fixed{p.prefix, draw(r, device.BF16, p.prefix*line, 1), draw(r, device.BF16, p.prefix*line, 1)}
	return f, newTable(name, f, line)
}

func cachedCases() []testCase {
	var all []testCase
	for _, s := range headShapes {
		for i, c := range []pagedCase{
			{pages: 1, talks: []*conversation{{past: 0, fresh: 1, pages: []int32{0}}}},
			// Rows of one token and blocks mixed, pages in no order.
			{pages: 9, talks: []*conversation{
				{past: 5, fresh: 1, pages: []int32{4}}, {past: 0, fresh: 7, pages: []int32{8}},
				{past: 150, fresh: 1, pages: []int32{7, 0, 3}}, {past: 60, fresh: 70, pages: []int32{5, 2, 1}}}},
			// Everything lies at the borders of pages.
			{pages: 7, talks: []*conversation{
				{past: 64, fresh: 64, pages: []int32{6, 1}}, {past: 63, fresh: 1, pages: []int32{3}},
				{past: 64, fresh: 1, pages: []int32{5, 0}}, {past: 0, fresh: 64, pages: []int32{2}}}},
			// The first 128 positions are everybody's.
			{pages: 7, shared: 128, talks: []*conversation{
				{past: 130, fresh: 3, pages: []int32{5, 3, 1}}, {past: 128, fresh: 9, pages: []int32{5, 3, 0}},
				{past: 191, fresh: 1, pages: []int32{5, 3, 6}}}},
			{pages: 4, prefix: 3, talks: []*conversation{
				{past: 5, fresh: 1, pages: []int32{3}}, {past: 0, fresh: 7, pages: []int32{1}}, {past: 79, fresh: 20, pages: []int32{2, 0}}}},
			{pages: 2, prefix: 70, talks: []*conversation{{past: 0, fresh: 17, pages: []int32{1}}}},
		} {
			c.heads = s
			for _, c.active = range activations {
				for _, c.cached = range activations {
					all = append(all, c.testCase(i))
				}
			}
		}
	}
	return all
}

func (p *pagedCase) testCase(number int) testCase {
	name := fmt.Sprintf("%v,%d,N=%d,%v,cache=%v", p.heads, number, p.prefix, p.active, p.cached)
	p.draw(random(name))
	f, prefix := p.newPrefix(name)
	before := p.newCache()
	for _, t := range p.talks {
		p.write(before, t, 0, t.past)
	}
	after, s := before.clone(), p.heads
	var qkv, o []float64
	for _, t := range p.talks {
		p.write(after, t, t.past, t.past+t.fresh)
		qkv = append(qkv, t.whole[t.past*s.Width():]...)
		o = append(o, p.answer(t, f, t.past, t.past+t.fresh)...)
	}
	batch, cached := p.batch(), p.cached
	return testCase{name: "AttentionCached/" + name, product: true,
		operands: append(cacheOperands(cached, before, after), out("o", p.active, o), in("qkv", p.active, qkv), in("prefix", device.F32, prefix.whole)),
		run: func(c *call) {
			c.AttentionCached(c.t("o"), c.t("qkv"), device.Cache{K: c.t("K"), V: c.t("V")}, c.pass(batch), s, prefix.on(c, "prefix"))
		}}
}

func cacheOperands(f device.Format, before, after cacheImage) []operand {
	return []operand{
		{name: "K", format: f, size: len(before.k), before: before.k, exact: after.k},
		{name: "V", format: f, size: len(before.v), before: before.v, exact: after.v},
	}
}

// chunkCases give long prompts in pieces, each a pass of its own: that is
// attention over the whole, to the same float64 answers as [attentionCases] are
// held to.
func chunkCases() []testCase {
	var all []testCase
	for i, s := range headShapes {
		for _, chunks := range [][]int{{150}, {64, 64, 22}, {100, 1, 1, 48}, {1, 63, 1, 85}} {
			f := activations[i%2]
			p := pagedCase{heads: s, active: f, cached: f, pages: 5, prefix: i % 3, talks: []*conversation{{fresh: 150, pages: []int32{4, 0, 2}}}}
			name := fmt.Sprintf("chunks/%v,%v,%v,N=%d", s, chunks, f, p.prefix)
			p.draw(random(name))
			fixed, prefix := p.newPrefix(name)
			t, before := p.talks[0], p.newCache()
			after := before.clone()
			p.write(after, t, 0, 150)
			all = append(all, testCase{name: "AttentionCached/" + name, product: true,
				operands: append(cacheOperands(f, before, after), out("o", f, p.answer(t, fixed, 0, 150)), in("qkv", f, t.whole), in("prefix", device.F32, prefix.whole)),
				run: func(c *call) {
					o, qkv, past := c.t("o"), c.t("qkv"), 0
					for _, n := range chunks {
						pass := c.pass(device.Batch{CuSeqlens: []int32{0, int32(n)}, Past: []int32{int32(past)}, Pages: t.pages})
						// A chunk of a tensor begins where it begins; operands begin at
						// multiples of 16 bytes.
						c.chunk(o, past*s.A*s.D, n*s.A*s.D, qkv, past*s.Width(), n*s.Width(), func(o, qkv device.Tensor) {
							c.AttentionCached(o, qkv, device.Cache{K: c.t("K"), V: c.t("V")}, pass, s, prefix.on(c, "prefix"))
						})
						past += n
					}
				}})
		}
	}
	return all
}

// chunk runs f on aligned copies of a run of rows of an input and an output.
func (c *call) chunk(out device.Tensor, outAt, outN int, in device.Tensor, inAt, inN int, f func(out, in device.Tensor)) {
	y, x := c.fresh(out.Format, outN), c.fresh(in.Format, inN)
	c.Copy(x, in.Slice(inAt, inAt+inN))
	f(y, x)
	c.Copy(out.Slice(outAt, outAt+outN), y)
	c.Free(x.Mem)
	c.Free(y.Mem)
}

// fresh is a tensor for the time of the call.
func (c *call) fresh(f device.Format, n int) device.Tensor {
	c.test.Helper()
	t, err := device.NewTensor(c.Device, f, n)
	if err != nil {
		c.test.Fatalf("alloc: %v", err)
	}
	return t
}
