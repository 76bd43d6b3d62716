package devicetest

import (
	"math"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

func info(t *testing.T, d device.Device) {
	i := d.Info()
	if i.Name == "" || i.Kind == "" || i.Backend == "" {
		t.Errorf("info %+v: name, kind and backend must say what the device is", i)
	}
	if i.Precision != "fp32" && i.Precision != "bf16" {
		t.Errorf("precision %q: want fp32 or bf16", i.Precision)
	}
}

func memory(t *testing.T, d device.Device) {
	x := normal(random("memory"), 1000, 1)
	a, err := d.Alloc(1000)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Free(a)
	b, err := d.Alloc(1000)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Free(b)
	y := normal(random("other"), 1000, 1)
	d.Download(y, a)
	for i, v := range y {
		if v != 0 {
			t.Fatalf("fresh memory holds %g at %d, want 0", v, i)
		}
	}
	d.Upload(a, x)
	d.Copy(b, a)
	d.Zero(a.Slice(10, 990))
	d.Copy(a.Slice(500, 600), b.Slice(0, 100))
	d.Download(y, a)
	for i, v := range y {
		want := float32(0)
		switch {
		case i < 10 || i >= 990:
			want = x[i]
		case i >= 500 && i < 600:
			want = x[i-500]
		}
		if math.Float32bits(v) != math.Float32bits(want) {
			t.Fatalf("after copies and zeros, element %d is %g, want %g", i, v, want)
		}
	}
	if _, err := d.Alloc(-1); err == nil {
		t.Error("allocation of -1 floats succeeded")
	}
	empty, err := d.Alloc(0)
	if err != nil || !empty.Empty() {
		t.Errorf("allocation of nothing: %v, %v", empty, err)
	}
	d.Free(empty)
	if err := d.Sync(); err != nil {
		t.Errorf("sync: %v", err)
	}
}

// wrongSizes checks that operators refuse tensors that do not fit.
func wrongSizes(t *testing.T, d device.Device) {
	m, err := d.Alloc(4096)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Free(m)
	f := func(n int) device.Mem { return m.Slice(0, n) }
	w := func(n int) device.Matrix { return device.Dense(f(n)) }
	half := func(n int) device.Matrix { return device.Matrix{Format: device.BF16, Raw: m.Bytes(n)} }
	s := device.Heads{A: 2, G: 1, D: 4, Rotary: 2, Base: 10000}
	for name, call := range map[string]func(){
		"Embed":           func() { d.Embed(f(7), w(64), []int32{1, 2}, 4) },
		"EmbedId":         func() { d.Embed(f(8), w(64), []int32{1, 16}, 4) },
		"EmbedNegative":   func() { d.Embed(f(8), w(64), []int32{1, -1}, 4) },
		"EmbedBackward":   func() { d.EmbedBackward(f(64), f(9), []int32{1, 2}, 4) },
		"RMSNorm":         func() { d.RMSNorm(f(8), f(2), f(8), device.Mem{}, f(5), 2, 4, 1e-5) },
		"RMSNormBackward": func() { d.RMSNormBackward(f(8), device.Mem{}, f(8), f(8), f(4), f(3), 2, 4) },
		"Linear":          func() { d.Linear(f(6), f(9), 2, &device.Linear{W: w(12), I: 4, O: 3}) },
		"LinearLoRA":      func() { d.Linear(f(6), f(8), 2, &device.Linear{W: w(12), I: 4, O: 3, LoRA: &device.LoRA{R: 2}}) },
		"LinearBackward":  func() { d.LinearBackward(f(8), f(7), f(8), 2, &device.Linear{W: w(12), I: 4, O: 3}, nil) },
		"LinearNarrow":    func() { d.Linear(f(6), f(8), 2, &device.Linear{W: half(23), I: 4, O: 3}) },
		"LinearScales": func() {
			d.Linear(f(6), f(8), 2, &device.Linear{W: device.Matrix{Format: device.Int8, Raw: m.Bytes(12), Scales: f(1)}, I: 4, O: 3})
		},
		"LinearFrozen": func() {
			d.LinearBackward(f(8), f(6), f(8), 2, &device.Linear{W: half(24), I: 4, O: 3}, &device.LinearGrad{W: f(12)})
		},
		"CrossEntropyFrozen": func() {
			d.CrossEntropy(f(2), device.Mem{}, f(20), f(8), half(40), []int32{0, 1}, 2, 4, 5, 1, device.Goal{})
		},
		"Rotary":            func() { d.Rotary(f(31), []int32{0, 1}, s, false) },
		"Attention":         func() { d.Attention(f(16), f(4), f(31), []int32{0, 2}, s, nil) },
		"AttentionBackward": func() { d.AttentionBackward(f(32), f(16), f(16), f(3), f(32), []int32{0, 2}, s, nil, nil) },
		"AttentionPrefix": func() {
			d.Attention(f(16), f(4), f(32), []int32{0, 2}, s, &device.Prefix{K: f(8), V: f(7), N: 2, Stride: 4})
		},
		"AttentionCached": func() {
			d.AttentionCached(f(16), f(32), device.Cache{K: f(8), V: f(8), Max: 2}, []int32{0}, []int32{1}, []int32{0, 2}, s, nil)
		},
		"SwiGLU":         func() { d.SwiGLU(f(8), f(15), 2, 4) },
		"SwiGLUBackward": func() { d.SwiGLUBackward(f(16), f(7), f(16), 2, 4) },
		"CrossEntropy": func() {
			d.CrossEntropy(f(2), device.Mem{}, device.Mem{}, f(8), w(19), []int32{0, 1}, 2, 4, 5, 1, device.Goal{})
		},
		"CrossEntropyTarget": func() {
			d.CrossEntropy(f(2), device.Mem{}, device.Mem{}, f(8), w(20), []int32{0, 5}, 2, 4, 5, 1, device.Goal{})
		},
		"CrossEntropyBase": func() {
			d.CrossEntropy(f(2), device.Mem{}, device.Mem{}, f(8), w(20), []int32{0, 1}, 2, 4, 5, 1, device.Goal{Anchor: 1, Base: f(7)})
		},
		"Tanh":         func() { d.Tanh(f(3), f(4)) },
		"TanhBackward": func() { d.TanhBackward(f(3), f(3), f(4)) },
		"Dropout":      func() { d.Dropout(f(3), f(4), 0.1, 1) },
		"Axpy":         func() { d.Axpy(f(3), 1, f(4)) },
		"Copy":         func() { d.Copy(f(3), f(4)) },
		"Upload":       func() { d.Upload(f(3), make([]float32, 4)) },
		"Download":     func() { d.Download(make([]float32, 4), f(3)) },
		"AdamW":        func() { d.AdamW(f(3), f(3), device.Moment{V: f(3)}, device.Moment{V: f(4)}, device.AdamW{Step: 1}) },
		"AdamWNarrow": func() {
			d.AdamW(f(300), f(300), device.Moment{V: f(75), Scale: f(1)}, device.Moment{V: f(75), Scale: f(2)}, device.AdamW{Step: 1})
		},
		"SGD":       func() { d.SGD(f(3), f(4), device.Moment{}, device.SGD{}) },
		"SGDMoment": func() { d.SGD(f(3), f(3), device.Moment{}, device.SGD{Momentum: 0.9}) },
		"Lion":      func() { d.Lion(f(3), f(3), device.Moment{V: f(2)}, device.Lion{}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("wrong sizes did not panic")
				}
			}()
			call()
		})
	}
}
