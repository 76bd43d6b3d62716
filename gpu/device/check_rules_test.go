package device_test

import (
	"math"
	"strings"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

// TestWrongCalls: what is wrong with more than one operand's size is refused,
// with words that name it.
func TestWrongCalls(t *testing.T) {
	d := device.Checked(nowhere{})
	f := func(n int) device.Tensor { return at(1<<20, device.F32, n) }
	b := func(n int) device.Tensor { return at(1<<20, device.BF16, n) }
	w := func(n int) device.Matrix { return device.Dense(f(n)) }
	narrow := func(format device.Format, bytes, scales int) device.Matrix {
		return device.Matrix{Format: format, Data: device.Mem{Addr: 1 << 20, N: bytes}, Scales: f(scales)}
	}
	heads := device.Heads{A: 2, G: 1, D: 4, Rotary: 2, Base: 10000}
	rows := prepared(d, device.Batch{IDs: []int32{3, 1}, Targets: []int32{0, 5}})
	bare := prepared(d, device.Batch{CuSeqlens: []int32{0, 2}})
	cached := prepared(d, device.Batch{CuSeqlens: []int32{0, 1, 2}, Past: []int32{63, 0}, Pages: []int32{0, 2},
		IDs: []int32{0, 0}, Positions: []int32{63, 0}, Adapters: []int32{1, -1}, Sampling: []device.Sampling{{Penalty: 2, TopP: 1}, {Penalty: 1, TopP: 1}}})
	linear := func(l device.Linear) func() { return func() { d.Linear(f(6), f(8), 2, &l) } }
	backward := func(w device.Matrix, g device.LinearGrad) func() {
		return func() { d.LinearBackward(f(8), f(6), f(8), 2, &device.Linear{W: w, I: 4, O: 3}, &g) }
	}
	branch := device.LoRA{A: f(8), B: f(6), U: f(4), R: 2}
	dropping, wide := branch, branch
	dropping.Dropout, wide.R = 1, 0
	prefixed := func(x device.Prefix) func() {
		return func() { d.Attention(f(16), f(4), f(32), bare, heads, &x) }
	}
	attention := func(s device.Heads) func() { return func() { d.Attention(f(16), f(4), f(32), bare, s, nil) } }
	entropy := func(v int, g device.HeadGrad, o device.Objective) func() {
		return func() {
			d.CrossEntropy(f(2), device.Ints{}, f(8), f(8), rows, &device.Head{W: w(4 * v), H: 4, V: v}, &g, 1, o)
		}
	}
	cache := func(k, v device.Tensor, p *device.Pass) func() {
		return func() { d.AttentionCached(f(16), f(32), device.Cache{K: k, V: v}, p, heads, nil) }
	}
	split := func(bytes int) device.Weights {
		return device.Weights{W: b(3), Low: device.Mem{Addr: 1 << 20, N: bytes}}
	}
	for _, c := range []struct {
		want string
		call func()
	}{
		{"Upload: src has 3 bytes, dst 4", func() { d.Upload(f(1).Mem, make([]byte, 3)) }},
		{"Download: dst has 3 bytes, src 4", func() { d.Download(make([]byte, 3), f(1).Mem) }},
		{"Copy: dst has 3 numbers, src 4", func() { d.Copy(f(3), b(4)) }},
		{"Copy: a tensor is fp16", func() { d.Copy(f(3), at(1<<20, device.F16, 3)) }},
		{"Swap: a has 12 bytes, b 16", func() { d.Swap(f(3).Mem, f(4).Mem) }},
		{"Embed: there is no pass", func() { d.Embed(f(8), w(64), nil, 4) }},
		{"Embed: the pass has no ids", func() { d.Embed(f(8), w(64), bare, 4) }},
		{"Embed: ids are 1 to 3, the table has 3 rows", func() { d.Embed(f(8), w(12), rows, 4) }},
		{"EmbedBackward: ids are 1 to 3, the table has 3 rows", func() { d.EmbedBackward(f(12), f(8), rows, 4) }},
		{"Gather: the pass has no rows", func() { d.Gather(f(8), f(8), bare, 4) }},
		{"RMSNorm: res and sum go together", func() { d.RMSNorm(f(8), f(2), f(8), f(8), device.Tensor{}, f(4), 2, 4, 0) }},
		{"RMSNorm: residual streams are fp32 and bf16", func() { d.RMSNorm(f(8), f(2), b(8), f(8), f(8), f(4), 2, 4, 0) }},
		{"RMSNorm: activations are fp32 and bf16", func() { d.RMSNorm(f(8), f(2), f(8), f(8), b(8), f(4), 2, 4, 0) }},
		{"RMSNormBackward: residual streams", func() { d.RMSNormBackward(f(8), device.Tensor{}, f(8), b(8), f(4), f(2), 2, 4) }},
		{"Linear: activations are fp32 and bf16", func() { d.Linear(b(6), f(8), 2, &device.Linear{W: w(12), I: 4, O: 3}) }},
		{"Linear: a layer of 0 inputs", linear(device.Linear{W: w(12), O: 3})},
		{"Linear: W has 23 bytes", linear(device.Linear{W: narrow(device.BF16, 23, 0), I: 4, O: 3})},
		{"Linear: W has 12 bytes and 1 scales", linear(device.Linear{W: narrow(device.Int8, 12, 1), I: 4, O: 3})},
		{"Linear: W has format 9", linear(device.Linear{W: narrow(9, 12, 0), I: 4, O: 3})},
		{"Linear: LoRA dropout is 1", linear(device.Linear{W: w(12), I: 4, O: 3, LoRA: &dropping})},
		{"Linear: a LoRA branch of rank 0", linear(device.Linear{W: w(12), I: 4, O: 3, LoRA: &wide})},
		{"Linear: LoRA and Adapters exclude", linear(device.Linear{W: w(12), I: 4, O: 3, LoRA: &branch, Adapters: []device.LoRA{branch}, Pass: cached})},
		{"Linear: there is no pass", linear(device.Linear{W: w(12), I: 4, O: 3, Adapters: []device.LoRA{branch}})},
		{"Linear: 2 rows of a pass of 2, which names adapters: false", linear(device.Linear{W: w(12), I: 4, O: 3, Adapters: []device.LoRA{branch}, Pass: rows})},
		{"Linear: adapter 1 of 1", linear(device.Linear{W: w(12), I: 4, O: 3, Adapters: []device.LoRA{branch}, Pass: cached})},
		{"LinearBackward: adapters a sequence", func() {
			d.LinearBackward(f(8), f(6), f(8), 2, &device.Linear{W: w(12), I: 4, O: 3, Adapters: []device.LoRA{branch}}, nil)
		}},
		{"LinearBackward: W gradient is asked for of weights in int8", backward(narrow(device.Int8, 12, 3), device.LinearGrad{W: f(12)})},
		{"LinearBackward: W gradient is bf16", backward(w(12), device.LinearGrad{W: b(12)})},
		{"LinearBackward: activations", func() { d.LinearBackward(b(8), f(6), f(8), 2, &device.Linear{W: w(12), I: 4, O: 3}, nil) }},
		{"LinearBackward: DU has 0 numbers", func() {
			d.LinearBackward(f(8), f(6), f(8), 2, &device.Linear{W: w(12), I: 4, O: 3, LoRA: &branch}, nil)
		}},
		{"Merge: there is no LoRA", func() { d.Merge(&device.Linear{W: w(12), I: 4, O: 3}) }},
		{"Merge: W is nf4", func() { d.Merge(&device.Linear{W: narrow(device.NF4, 6, 3), I: 4, O: 3, LoRA: &branch}) }},
		{"Rotary: the pass has no positions", func() { d.Rotary(f(32), rows, heads, false) }},
		{"Attention: heads", attention(device.Heads{A: 3, G: 2, D: 4})},
		{"Attention: heads", attention(device.Heads{A: 2, G: 1, D: 4, Rotary: 3})},
		{"Attention: heads", attention(device.Heads{A: 2, G: 1, D: 4, Rotary: 6})},
		{"Attention: the pass has a cache", func() { d.Attention(f(16), f(4), f(32), cached, heads, nil) }},
		{"Attention: activations", func() { d.Attention(f(16), f(4), b(32), bare, heads, nil) }},
		{"Attention: prefix has 0 positions", prefixed(device.Prefix{Stride: 8, V: 4})},
		{"Attention: prefix has keys at 5", prefixed(device.Prefix{Table: f(16), N: 2, Stride: 8, K: 5, V: 4})},
		{"AttentionBackward: a gradient of a prefix of another length", func() {
			d.AttentionBackward(f(32), f(16), f(16), f(4), f(32), bare, heads, nil, &device.Prefix{Table: f(16), N: 2, Stride: 8, V: 4})
		}},
		{"AttentionCached: the pass has no cache", cache(f(768), f(768), bare)},
		{"AttentionCached: page 2 of 2", cache(f(512), f(512), cached)},
		{"AttentionCached: V has 512", cache(f(768), f(512), cached)},
		{"AttentionCached: keys and values are fp32 and bf16", cache(f(768), b(768), cached)},
		{"SwiGLU: activations", func() { d.SwiGLU(f(8), b(16), 2, 4) }},
		{"SwiGLUBackward: activations", func() { d.SwiGLUBackward(f(16), b(8), f(16), 2, 4) }},
		{"CrossEntropy: target 5 is outside of 5 classes", entropy(5, device.HeadGrad{}, device.Objective{})},
		{"CrossEntropy: W gradient is bf16", entropy(6, device.HeadGrad{W: b(24)}, device.Objective{})},
		{"CrossEntropy: objective 1", entropy(6, device.HeadGrad{}, device.Objective{Smoothing: 1})},
		{"CrossEntropy: objective 0, -1", entropy(6, device.HeadGrad{}, device.Objective{KL: -1})},
		{"CrossEntropy: activations", entropy(6, device.HeadGrad{}, device.Objective{KL: 1, Reference: b(8)})},
		{"CrossEntropy: the pass has no targets", func() {
			d.CrossEntropy(f(2), device.Ints{}, f(8), f(8), bare, &device.Head{W: w(20), H: 4, V: 5}, nil, 1, device.Objective{})
		}},
		{"TopK: 8 of 7 scores", func() { d.TopK(f(16).Mem.Ints(16), f(16), f(2), f(14), 2, 7, 8) }},
		{"Sample: the pass says not how", func() { d.Sample(f(1).Mem.Ints(1), device.Ints{}, device.Tensor{}, f(7), rows, 7) }},
		{"Sample: seen has 0", func() { d.Sample(f(2).Mem.Ints(2), device.Ints{}, device.Tensor{}, f(14), cached, 7) }},
		{"Dropout: a share of 1", func() { d.Dropout(f(2), f(2), 1, 0) }},
		{"ClipNorm: a limit of -1", func() { d.ClipNorm(f(2), []device.Tensor{f(3)}, -1) }},
		{"ClipNorm: g is fp16", func() { d.ClipNorm(f(2), []device.Tensor{f(3), at(1<<20, device.F16, 3)}, 1) }},
		{"AdamW: step 0", func() {
			d.AdamW(device.Weights{W: f(3)}, f(3), device.Moment{V: f(3).Mem}, device.Moment{V: f(3).Mem}, f(1), device.AdamW{})
		}},
		{"AdamW: a moment has 300 bytes and 1 scales, want 300 and 2", func() {
			m := device.Moment{V: device.Mem{Addr: 1 << 20, N: 300}, Scale: f(1)}
			d.AdamW(device.Weights{W: f(300)}, f(300), m, m, f(1), device.AdamW{Step: 1})
		}},
		{"SGD: a moment has 0 bytes", func() { d.SGD(device.Weights{W: f(3)}, f(3), device.Moment{}, f(1), device.SGD{Momentum: 0.9}) }},
		{"SGD: factor is 2 numbers", func() { d.SGD(device.Weights{W: f(3)}, f(3), device.Moment{}, f(2), device.SGD{}) }},
		{"SGD: weights in fp32 have a gradient in bf16", func() { d.SGD(device.Weights{W: f(3)}, b(3), device.Moment{}, f(1), device.SGD{}) }},
		{"SGD: w has 0 bytes of lower halves", func() { d.SGD(device.Weights{W: b(3)}, b(3), device.Moment{}, f(1), device.SGD{}) }},
		{"Lion: w has 5 bytes of lower halves", func() { d.Lion(split(5), f(3), device.Moment{V: f(3).Mem}, f(1), device.Lion{}) }},
		{"Average: an average of 3 bf16 of 3 fp32", func() { d.Average(split(6), device.Weights{W: f(3)}, 0.5) }},
		{"Advance: a pass of 2 rows", func() { d.Advance(rows, f(2).Mem.Ints(2)) }},
		{"Advance: sequences of 64 positions", func() { d.Advance(cached, f(2).Mem.Ints(2)) }},
		{"NewPass: limits", func() { d.NewPass(device.Limits{M: -1}) }},
	} {
		if got := refusal(c.call); !strings.HasPrefix(got, "device: "+c.want) {
			t.Errorf("refused with %q, want device: %s", got, c.want)
		}
	}
}

// TestWrongBatches: Prepare refuses what operators would stumble over.
func TestWrongBatches(t *testing.T) {
	d := device.Checked(nowhere{})
	sampling := func(s device.Sampling) device.Batch {
		return device.Batch{IDs: []int32{1}, Sampling: []device.Sampling{s}}
	}
	for _, c := range []struct {
		want  string
		batch device.Batch
	}{
		{"positions are 1, the batch has 2 rows", device.Batch{IDs: []int32{1, 2}, Positions: []int32{0}}},
		{"ids are 3, the batch has 4 rows", device.Batch{IDs: []int32{1, 2, 3}, CuSeqlens: []int32{0, 4}}},
		{"targets are 1", device.Batch{IDs: []int32{1, 2}, Targets: []int32{0}}},
		{"weights are 1", device.Batch{IDs: []int32{1, 2}, Weights: []float32{0}}},
		{"weight 0 is NaN", device.Batch{Weights: []float32{float32(math.NaN())}}},
		{"cu_seqlens go from 1 to 2", device.Batch{CuSeqlens: []int32{1, 2}}},
		{"cu_seqlens fall from 2 to 1", device.Batch{CuSeqlens: []int32{0, 2, 1, 3}}},
		{"position -1", device.Batch{Positions: []int32{-1}}},
		{"gathered row 1 is 2", device.Batch{IDs: []int32{1, 2}, Rows: []int32{1, 2}}},
		{"adapters are 2, the batch has 1 sequences", device.Batch{IDs: []int32{1, 2}, Adapters: []int32{0, 0}}},
		{"adapter -2", device.Batch{IDs: []int32{1}, Adapters: []int32{-2}}},
		{"pasts are 2", device.Batch{IDs: []int32{1}, Past: []int32{0, 0}}},
		{"3 pages for 2 sequences", device.Batch{CuSeqlens: []int32{0, 1, 2}, Past: []int32{0, 0}, Pages: []int32{0, 1, 2}}},
		{"page 0 is -1", device.Batch{IDs: []int32{1}, Past: []int32{0}, Pages: []int32{-1}}},
		{"sequence 0 has -1 positions", device.Batch{IDs: []int32{1}, Past: []int32{-1}, Pages: []int32{0}}},
		{"sequence 0 has 65 positions, and pages for 64", device.Batch{IDs: []int32{1}, Past: []int32{64}, Pages: []int32{0}}},
		{"samplings are 1, the batch has 2", device.Batch{CuSeqlens: []int32{0, 1, 2}, Sampling: []device.Sampling{{}}}},
		{"sequence 0 samples by", sampling(device.Sampling{TopP: 1})},
		{"sequence 0 samples by", sampling(device.Sampling{Penalty: 1})},
		{"sequence 0 samples by", sampling(device.Sampling{Penalty: 1, TopP: 1.5})},
		{"sequence 0 samples by", sampling(device.Sampling{Penalty: 1, TopP: 1, Temperature: -1})},
		{"sequence 0 samples by", sampling(device.Sampling{Penalty: 1, TopP: 1, TopK: -1})},
		{"101 rows, 1 sequences", device.Batch{IDs: make([]int32, 101)}},
		{"11 rows, 11 sequences", device.Batch{CuSeqlens: []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}}},
		{"1 rows, 1 sequences, 11 gathered", device.Batch{IDs: []int32{0}, Rows: make([]int32, 11)}},
		{"1 rows, 1 sequences, 0 gathered rows and 5 pages", device.Batch{IDs: []int32{0}, Past: []int32{0}, Pages: make([]int32, 5)}},
	} {
		if got := refusal(func() { prepared(d, c.batch) }); !strings.HasPrefix(got, "device: Prepare: "+c.want) {
			t.Errorf("refused with %q, want device: Prepare: %s", got, c.want)
		}
	}
}

// TestPassSays: what operators read of a pass is what the batch had, and goes on
// with Advance.
func TestPassSays(t *testing.T) {
	d := device.Checked(nowhere{})
	p := prepared(d, device.Batch{IDs: []int32{7, 3, 5}, Positions: []int32{0, 1, 9}, Targets: []int32{-1, 4, 2}, CuSeqlens: []int32{0, 2, 3}, Rows: []int32{2, 0},
		Adapters: []int32{-1, 1}, Past: []int32{3, 70}, Pages: []int32{4, 0, 9, 2}, Sampling: []device.Sampling{{Penalty: 1, TopP: 1}, {Penalty: 1.5, TopP: 1}}})
	want := device.Pass{Limits: p.Limits, M: 3, S: 2, N: 2, Pages: 2, Lowest: 3, Highest: 7, Target: 4, Position: 9, Length: 71, Adapter: 1, Page: 9, Penalised: true,
		Has: device.Has{IDs: true, Positions: true, Targets: true, Rows: true, Adapters: true, Past: true, Sampling: true}}
	if *p != want {
		t.Errorf("%+v, want %+v", *p, want)
	}
	d.Prepare(p, device.Batch{IDs: []int32{7, 3}, Positions: []int32{5, 70}, CuSeqlens: []int32{0, 1, 2}, Past: []int32{5, 70}, Pages: []int32{4, 0, 9, 2}})
	d.Advance(p, at(1<<20, device.F32, 2).Mem.Ints(2))
	want = device.Pass{Limits: p.Limits, M: 2, S: 2, Pages: 2, Lowest: 3, Highest: 7, Target: -1, Position: 71, Length: 72, Adapter: -1, Page: 9,
		Has: device.Has{IDs: true, Positions: true, Past: true}}
	if *p != want {
		t.Errorf("advanced: %+v, want %+v", *p, want)
	}
	d.Prepare(p, device.Batch{})
	if want = (device.Pass{Limits: p.Limits, S: 1, Highest: -1, Target: -1, Position: -1, Adapter: -1, Page: -1}); *p != want {
		t.Errorf("of nothing: %+v, want %+v", *p, want)
	}
}
