package devicetest

import (
	"fmt"
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

// An answering is some steps of answering: each embeds what the last one
// sampled, rotates, attends over the cache across a page's border and samples the
// next token.
type answering struct {
	pagedCase
	lookup  *weight
	batches []device.Batch
	scores  [][]float64 // of each step
	// What a device must have: rows and attention of each step, tokens and the cache.
	rows, o       [][]float64
	ids           [][]int32
	before, after cacheImage
}

const answerSteps, answerTokens = 3, 50

// advanceCases: a pass that goes on to the next token on the device is one that
// was prepared for it, bit for bit, and both are right.
func advanceCases() []testCase {
	var all []testCase
	for _, s := range headShapes {
		for _, f := range activations {
			all = append(all, newAnswering(s, f).testCase())
		}
	}
	return append(all, damagedAnswer())
}

// damagedAnswer goes on after Sample has found no token: −1 counts as 0.
func damagedAnswer() testCase {
	const h = 5
	table := newWeight(random("damaged"), device.F32, 4, h)
	batch := device.Batch{IDs: []int32{1, 2, 3}, Positions: []int32{3, 0, 9}, CuSeqlens: []int32{0, 1, 2, 3}, Past: []int32{3, 0, 9}, Pages: []int32{0, 1, 2}}
	return testCase{name: "Advance/damaged",
		operands: append(table.operands("table"), inInts("ids", []int32{-1, 2, -1}), out("y", device.F32, rowsOf(table.values, []int32{0, 2, 0}, h))),
		run: func(c *call) {
			pass := c.pass(batch)
			c.Advance(pass, c.i("ids"))
			c.Embed(c.t("y"), table.matrix(c, "table"), pass, h)
		}}
}

func newAnswering(s device.Heads, f device.Format) *answering {
	r := random(fmt.Sprint(s, f))
	h := s.Width() // the embeddings are the rows of queries, keys and values
	a := &answering{
		pagedCase: pagedCase{heads: s, active: f, cached: f, pages: 6, talks: []*conversation{
			{past: 62, pages: []int32{5, 0}}, {past: 3, pages: []int32{2, 1}}, {past: 128 - answerSteps, pages: []int32{4, 3}}}},
		lookup: newWeight(r, device.BF16, answerTokens, h),
	}
	a.before = a.newCache()
	ids := make([]int32, len(a.talks))
	for i, t := range a.talks {
		t.whole = a.pagedCase.rows(r, t.past)
		a.write(a.before, t, 0, t.past)
		ids[i] = r.Int32N(answerTokens)
	}
	a.after = a.before.clone()
	sampling := []device.Sampling{{Penalty: 1, TopP: 1}, {Penalty: 1, Temperature: 1, TopP: 1, Seed: 5}, {Penalty: 1, Temperature: 2, TopP: 0.9, Seed: 6}}
	for step := range answerSteps {
		b := device.Batch{IDs: ids, CuSeqlens: []int32{0, 1, 2, 3}, Sampling: sampling}
		var scores, o []float64
		ids = make([]int32, len(a.talks))
		for i, t := range a.talks {
			at := int32(t.past + step)
			b.Positions, b.Past, b.Pages = append(b.Positions, 1000+at), append(b.Past, at), append(b.Pages, t.pages...)
			row, margin := []float64(nil), 0.0
			for margin <= distinct {
				row = draw(r, device.F32, answerTokens, 2)
				ids[i], margin = pick(row, nil, sampling[i], int(at)+1)
			}
			scores = append(scores, row...)
		}
		rows := rotate(rowsOf(a.lookup.values, b.IDs, h), b.Positions, s, 1)
		for i, t := range a.talks {
			t.whole = append(t.whole, stored(f, rows[i*h:(i+1)*h])...)
			at := t.past + step
			a.write(a.after, t, at, at+1)
			o = append(o, a.answer(t, fixed{}, at, at+1)...)
		}
		a.batches, a.scores, a.ids = append(a.batches, b), append(a.scores, scores), append(a.ids, ids)
		a.rows, a.o = append(a.rows, rows), append(a.o, o)
	}
	return a
}

// results are the operands that a way of answering writes.
func (a *answering) results(way string) []operand {
	cache := func(name string, before, after []byte) operand {
		return judged(operand{name: name + way, format: a.cached, size: len(before), before: before, want: decode(a.cached, after)})
	}
	all := []operand{cache("K", a.before.k, a.after.k), cache("V", a.before.v, a.after.v)}
	for i := range answerSteps {
		step := fmt.Sprint(i) + way
		all = append(all, judged(out("rows"+step, a.active, a.rows[i])), judged(out("o"+step, a.active, a.o[i])), outInts("ids"+step, a.ids[i]))
	}
	return all
}

func (a *answering) testCase() testCase {
	operands := append(append(a.lookup.operands("lookup"), a.results(" advanced")...), a.results(" anew")...)
	for i, x := range a.scores {
		operands = append(operands, in(fmt.Sprint("scores", i), device.F32, x))
	}
	return testCase{name: fmt.Sprintf("Advance/%v,%v", a.heads, a.active), product: true, operands: operands, check: a.judge,
		run: func(c *call) {
			pass := c.pass(a.batches[0])
			for i := range answerSteps {
				if i > 0 {
					c.Advance(pass, c.i(fmt.Sprint("ids", i-1, " advanced")))
				}
				a.step(c, pass, i, " advanced")
				a.step(c, c.pass(a.batches[i]), i, " anew")
			}
		}}
}

func (a *answering) step(c *call, pass *device.Pass, i int, way string) {
	step := fmt.Sprint(i) + way
	rows := c.t("rows" + step)
	c.Embed(rows, a.lookup.matrix(c, "lookup"), pass, a.heads.Width())
	c.Rotary(rows, pass, a.heads, false)
	c.AttentionCached(c.t("o"+step), rows, device.Cache{K: c.t("K" + way), V: c.t("V" + way)}, pass, a.heads, nil)
	c.Sample(c.i("ids"+step), device.Ints{}, device.Tensor{}, c.t(fmt.Sprint("scores", i)), pass, answerTokens)
}

func (a *answering) judge(after results, limit float64) (float64, error) {
	most := 0.0
	if a.active == device.BF16 { // a key that falls to the other side is off by 2⁻⁸, and what is attended with it
		limit = max(limit, 1.0/128)
	}
	for _, o := range a.results("") {
		advanced := after[o.name+" advanced"]
		if at := differs(advanced, after[o.name+" anew"]); at >= 0 {
			return 0, fmt.Errorf("%s: a pass that advanced and one prepared anew differ at byte %d", o.name, at)
		}
		if !o.judged {
			continue
		}
		got, want := withoutPoison(decode(o.format, advanced), o.want)
		worst, at := apart(o.format, got, want)
		if most = max(most, worst); !(worst <= limit) {
			return worst, fmt.Errorf("%s: number %d is %g, want %g", o.name, at, got[at], want[at])
		}
	}
	return most, nil
}

// withoutPoison has zeros where positions of a cache were not to be written and
// were not.
func withoutPoison(got, want []float64) (g, w []float64) {
	g, w = append([]float64(nil), got...), append([]float64(nil), want...)
	for i, x := range w {
		if math.IsNaN(x) && math.IsNaN(g[i]) {
			g[i], w[i] = 0, 0
		}
	}
	return g, w
}
