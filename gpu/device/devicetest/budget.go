package devicetest

import (
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

// budget: a device with one gives no more than it allows, says so, and has it
// again when it is given back.
func budget(t *testing.T, open func(device.Options) device.Device) {
	const whole = 16 << 20
	d := open(device.Options{Workers: 1, Budget: whole})
	settle(t, d)
	start := d.Available()
	if start < whole/2 || start > whole {
		t.Fatalf("%d bytes are available of a budget of %d", start, whole)
	}
	big := int(start) * 5 / 8
	for i := range 5 { // what is given back is there again, every time
		a, err := d.Alloc(big)
		if err != nil {
			t.Fatalf("round %d: %d of %d bytes: %v", i, big, start, err)
		}
		if left := d.Available(); left < 0 || left > start-int64(big) {
			t.Errorf("%d bytes are available of %d when %d are taken", left, start, big)
		}
		if m, err := d.Alloc(big); err == nil {
			t.Errorf("two times %d bytes fit in a budget of %d", big, whole)
			d.Free(m)
		}
		if p, err := d.NewPass(device.Limits{M: big / 4, S: 1}); err == nil {
			t.Errorf("a pass of %d rows fits in %d bytes", big/4, whole-big)
			d.FreePass(p)
		}
		p, err := d.NewPass(device.Limits{M: 1000, S: 10, N: 10, Pages: 4})
		if err != nil {
			t.Fatal(err)
		}
		d.FreePass(p)
		d.Free(a)
		settle(t, d)
	}
	if left := d.Available(); left != start {
		t.Errorf("%d bytes are available when all is given back, %d were at first", left, start)
	}
}

// workspaceBounds are those of a small model in training.
var workspaceBounds = device.Bounds{
	Limits: device.Limits{M: 200, S: 4, N: 8},
	Hidden: 64, FFN: 96, Vocabulary: 500, Heads: device.Heads{A: 4, G: 2, D: 16, Rotary: 8, Base: 10000},
	Rank: 8, Prefix: 16, PrefixWidth: 2 * 32,
	Backward: true, Dropout: true, Reference: true, FullGradients: true,
}

// workspace: what is reserved for a pass suffices for its operators when there
// is nothing else left, and is no more than was said.
func workspace(t *testing.T, free device.Device, open func(device.Options) device.Device) {
	for _, f := range activations {
		b := workspaceBounds
		b.Activations, b.Residual = f, f
		need := free.Workspace(b)
		if need < 0 {
			t.Fatalf("a workspace of %d bytes", need)
		}
		const room = 16 << 20
		d := open(device.Options{Workers: 1, Budget: need + room})
		settle(t, d)
		before := d.Available()
		if need = d.Workspace(b); need > before {
			t.Fatalf("%v: %d bytes of workspace, %d are available", f, need, before)
		}
		for range 2 { // reserved twice is reserved once
			if err := d.Reserve(b); err != nil {
				t.Fatalf("%v: reserve %d of %d bytes: %v", f, need, before, err)
			}
		}
		if took := before - d.Available(); took > need {
			t.Errorf("%v: Reserve took %d bytes, Workspace said %d", f, took, need)
		}
		p := newTrainingPass(t, d, b)
		rest := alloc(t, d, int(d.Available()))
		got := p.run(t)
		d.Zero(rest)
		settle(t, d)
		want := newTrainingPass(t, free, b).run(t)
		for i := range want {
			if at := differs(got[i], want[i]); at >= 0 {
				t.Errorf("%v: result %d with reserved workspace differs at byte %d", f, i, at)
			}
		}
		if need > 0 {
			small := open(device.Options{Workers: 1, Budget: max(1, need/2)})
			if err := small.Reserve(b); err == nil {
				t.Errorf("%v: %d bytes of workspace fit in a budget of %d", f, need, need/2)
			}
		}
	}
}

// A trainingPass is operators that need most beside their operands, at the
// largest sizes that bounds allow.
type trainingPass struct {
	device.Device
	bounds  device.Bounds
	pass    *device.Pass
	tensors map[string]device.Tensor
}

func newTrainingPass(t *testing.T, d device.Device, b device.Bounds) *trainingPass {
	p := &trainingPass{Device: d, bounds: b, tensors: map[string]device.Tensor{}}
	var err error
	if p.pass, err = d.NewPass(b.Limits); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.FreePass(p.pass) })
	targets, r := make([]int32, b.M), random("targets")
	for i := range targets {
		targets[i] = r.Int32N(int32(b.Vocabulary))
	}
	d.Prepare(p.pass, device.Batch{Targets: targets, CuSeqlens: []int32{0, 1, 20, 120, int32(b.M)}})
	a, s := b.Activations, b.Heads
	for _, x := range []struct {
		name string
		f    device.Format
		n    int
	}{
		{"x", a, b.M * b.Hidden}, {"reference", a, b.M * b.Hidden}, {"dx", a, b.M * b.Hidden},
		{"u", a, b.M * 2 * b.FFN}, {"W", device.F32, 2 * b.FFN * b.Hidden}, {"dW", device.F32, 2 * b.FFN * b.Hidden},
		{"A", device.F32, b.Rank * b.Hidden}, {"B", device.F32, 2 * b.FFN * b.Rank}, {"U", device.F32, b.M * b.Rank}, {"DU", device.F32, b.M * b.Rank},
		{"dA", device.F32, b.Rank * b.Hidden}, {"dB", device.F32, 2 * b.FFN * b.Rank},
		{"head", device.F32, b.Vocabulary * b.Hidden}, {"dhead", device.F32, b.Vocabulary * b.Hidden}, {"loss", device.F32, b.M},
		{"qkv", a, b.M * s.Width()}, {"dqkv", a, b.M * s.Width()}, {"o", a, b.M * s.A * s.D}, {"do", a, b.M * s.A * s.D}, {"lse", device.F32, b.M * s.A},
		{"prefix", device.F32, b.Prefix * b.PrefixWidth}, {"dprefix", device.F32, b.Prefix * b.PrefixWidth},
		{"norm", device.F32, b.Hidden}, {"dnorm", device.F32, b.Hidden}, {"rstd", device.F32, b.M},
	} {
		p.tensors[x.name] = alloc(t, d, x.n*x.f.Size()).Tensor(x.f, x.n)
		d.Upload(p.tensors[x.name].Mem, encode(x.f, draw(random(x.name), x.f, x.n, 1)))
	}
	return p
}

// run computes, and returns what came out.
func (p *trainingPass) run(t *testing.T) [][]byte {
	t.Helper()
	x, b, s := p.tensors, p.bounds, p.bounds.Heads
	l := &device.Linear{W: device.Dense(x["W"]), I: b.Hidden, O: 2 * b.FFN,
		LoRA: &device.LoRA{A: x["A"], B: x["B"], U: x["U"], R: b.Rank, Scale: 2, Dropout: 0.1, Seed: 1}}
	prefix := func(name string) *device.Prefix {
		return &device.Prefix{Table: x[name], N: b.Prefix, Stride: b.PrefixWidth, V: b.PrefixWidth / 2}
	}
	p.Linear(x["u"], x["x"], b.M, l)
	p.LinearBackward(x["dx"], x["u"], x["x"], b.M, l, &device.LinearGrad{W: x["dW"], A: x["dA"], B: x["dB"], DU: x["DU"]})
	p.Attention(x["o"], x["lse"], x["qkv"], p.pass, s, prefix("prefix"))
	p.AttentionBackward(x["dqkv"], x["do"], x["o"], x["lse"], x["qkv"], p.pass, s, prefix("prefix"), prefix("dprefix"))
	p.RMSNorm(x["x"], x["rstd"], device.Tensor{}, x["dx"], device.Tensor{}, x["norm"], b.M, b.Hidden, 1e-5)
	p.RMSNormBackward(x["dx"], x["dnorm"], x["x"], x["reference"], x["norm"], x["rstd"], b.M, b.Hidden)
	p.CrossEntropy(x["loss"], device.Ints{}, x["dx"], x["x"], p.pass, &device.Head{W: device.Dense(x["head"]), H: b.Hidden, V: b.Vocabulary},
		&device.HeadGrad{W: x["dhead"]}, 1, device.Objective{KL: 0.5, Reference: x["reference"]})
	var all [][]byte
	for _, name := range []string{"u", "dW", "dA", "dB", "o", "dqkv", "dprefix", "dnorm", "loss", "dx", "dhead"} {
		b := make([]byte, x[name].Mem.N)
		p.Download(b, x[name].Mem)
		all = append(all, b)
	}
	settle(t, p.Device)
	return all
}
