package devicetest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/glmflow/glmflow/gpu/device"
)

func topKCases() []testCase {
	var all []testCase
	for _, s := range []struct{ n, v, k int }{{1, 1, 1}, {3, 7, 7}, {5, 100, 1}, {4, 1000, 20}, {2, 5003, 300}, {2, 64, 0}} {
		for _, ties := range []bool{false, true} {
			name := fmt.Sprintf("n=%d,V=%d,k=%d,ties=%v", s.n, s.v, s.k, ties)
			r := random(name)
			scores := draw(r, device.F32, s.n*s.v, 3)
			if ties {
				for i := range scores {
					scores[i] = float64(r.IntN(7) - 3)
				}
			}
			var ids []int32
			values, lse := []float64{}, []float64{}
			for i := range s.n {
				row := scores[i*s.v : (i+1)*s.v]
				for _, id := range descending(row)[:s.k] {
					ids, values = append(ids, int32(id)), append(values, row[id])
				}
				rest := append([]float64(nil), row...)
				logSoftmax(rest)
				lse = append(lse, row[0]-rest[0])
			}
			exactly := operand{name: "values", format: device.F32, size: 4 * len(values), exact: encode(device.F32, values)}
			all = append(all, testCase{name: "TopK/" + name,
				operands: []operand{outInts("ids", ids), exactly, out("lse", device.F32, lse), in("scores", device.F32, scores)},
				run:      func(c *call) { c.TopK(c.i("ids"), c.t("values"), c.t("lse"), c.t("scores"), s.n, s.v, s.k) }})
		}
	}
	return all
}

// distinct is by how much of all probability sums may be off where tokens are
// drawn: a hundred roundings of a float32 exponential. Draws that are nearer to
// the border of another token are drawn again.
const distinct = 1e-5

// A draft is a sequence whose next token is sampled.
type draft struct {
	device.Sampling
	scores []float64
	seen   []int32 // bits; what was seen before
	length int
	want   int32
}

// newDraft draws scores and a seed such that every device must pick one token.
func newDraft(r *rand.Rand, s device.Sampling, v int) draft {
	for {
		d := draft{Sampling: s, scores: draw(r, device.F32, v, 2.5), seen: make([]int32, (v+31)/32), length: 1 + r.IntN(200)}
		d.Seed = r.Uint64()
		if s.TopK == 3 || s.Temperature == 0 { // equal scores, where order decides
			for i := range d.scores {
				d.scores[i] = math.Round(d.scores[i])
			}
		}
		for range v / 3 {
			id := r.IntN(v)
			d.seen[id/32] |= 1 << (id % 32)
		}
		var margin float64
		if d.want, margin = pick(d.scores, d.seen, d.Sampling, d.length); margin > distinct {
			return d
		}
	}
}

func sampleCases() []testCase {
	ways := []device.Sampling{
		{Penalty: 1, Temperature: 0, TopP: 1},
		{Penalty: 2, Temperature: 0, TopP: 1, TopK: 5},
		{Penalty: 1, Temperature: 1, TopP: 1},
		{Penalty: 1.25, Temperature: 0.5, TopP: 1},
		{Penalty: 1, Temperature: 1, TopK: 3, TopP: 1},
		{Penalty: 1, Temperature: 2, TopP: 0.8},
		{Penalty: 0.5, Temperature: 0.75, TopK: 50, TopP: 0.9},
		{Penalty: 1, Temperature: 1.5, TopK: 1, TopP: 1},
		{Penalty: 1, Temperature: 1, TopP: 1e-6},
		{Penalty: 1, Temperature: 1, TopK: 1 << 30, TopP: 0.97},
	}
	var all []testCase
	for _, v := range []int{1, 5, 33, 1000, 5003} {
		r := random(fmt.Sprint("sample ", v))
		var drafts, plain []draft
		for range 3 {
			for _, s := range ways {
				d := newDraft(r, s, v)
				drafts = append(drafts, d)
				if s.Penalty == 1 {
					plain = append(plain, d)
				}
			}
		}
		broken := append([]draft(nil), drafts[:4]...)
		for i, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			b := &broken[i]
			b.scores, b.want = append([]float64(nil), b.scores...), -1
			b.scores[(i*7)%v] = x
		}
		name := fmt.Sprintf("V=%d", v)
		all = append(all, sampleCase(name+"/all", drafts, v, true, true), sampleCase(name+"/not seen", plain, v, false, true),
			sampleCase(name+"/without a cache", drafts, v, true, false), sampleCase(name+"/broken", broken, v, true, true))
		for i, d := range drafts[:len(ways)] { // nobody's token depends on who else is there
			all = append(all, sampleCase(fmt.Sprintf("%s/alone/%d", name, i), []draft{d}, v, true, true))
		}
	}
	return all
}

// sampleCase is a batch of drafts: with a cache, each has one row after its past;
// without, all of its rows.
func sampleCase(name string, drafts []draft, v int, seen, cached bool) testCase {
	b := device.Batch{CuSeqlens: []int32{0}}
	var scores []float64
	var want, before, after []int32
	for s, d := range drafts {
		rows := d.length
		if cached {
			rows = 1
			b.Past = append(b.Past, int32(d.length-1))
			for range 4 {
				b.Pages = append(b.Pages, int32(len(b.Pages)))
			}
		}
		b.CuSeqlens = append(b.CuSeqlens, b.CuSeqlens[s]+int32(rows))
		b.Sampling = append(b.Sampling, d.Sampling)
		scores, want = append(scores, d.scores...), append(want, d.want)
		before = append(before, d.seen...)
		after = append(after, d.seen...)
		if d.want >= 0 {
			after[len(after)-len(d.seen)+int(d.want)/32] |= 1 << (d.want % 32)
		}
	}
	operands := []operand{outInts("ids", want), in("scores", device.F32, scores)}
	if seen {
		operands = append(operands, inoutInts("seen", before, after))
	}
	if cached {
		operands = append(operands, logprobs(drafts))
	}
	return testCase{name: "Sample/" + name, operands: operands,
		run: func(c *call) { c.Sample(c.i("ids"), c.i("seen"), c.t("logprob"), c.t("scores"), c.pass(b), v) }}
}

// logprobs are the picked tokens' as the model has them, before penalty and
// temperature. Without a token nobody says.
func logprobs(drafts []draft) operand {
	var x []float64
	for _, d := range drafts {
		if d.want < 0 {
			return judged(operand{name: "logprob", format: device.F32, size: 4 * len(drafts)})
		}
		row := append([]float64(nil), d.scores...)
		logSoftmax(row)
		x = append(x, row[d.want])
	}
	return out("logprob", device.F32, x)
}
