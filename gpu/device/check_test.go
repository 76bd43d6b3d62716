package device_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

// nowhere is a backend that has no operators: a call that reaches it ends in a
// nil dereference, which tells right arguments from wrong ones.
type nowhere struct{ device.Device }

func (nowhere) NewPass(device.Limits) (*device.Pass, error) { return &device.Pass{}, nil }
func (nowhere) Prepare(*device.Pass, device.Batch)          {}
func (nowhere) Advance(*device.Pass, device.Ints)           {}

// refusal is what a call on checked arguments ends with: "" where they reached
// the backend.
func refusal(call func()) (message string) {
	defer func() {
		switch p := recover().(type) {
		case nil, runtime.Error:
		default:
			message = fmt.Sprint(p)
		}
	}()
	call()
	return ""
}

// prepared is a pass of a batch.
func prepared(d device.Device, b device.Batch) *device.Pass {
	p, err := d.NewPass(device.Limits{M: 100, S: 10, N: 10, Pages: 4})
	if err != nil {
		panic(err)
	}
	d.Prepare(p, b)
	return p
}

// A kind is which formats an operand may have, and whether it must be there.
type kind string

const (
	single   kind = "F32"
	either   kind = "F32 or BF16"
	integers kind = "integers"
	optional kind = "F32, optional"
)

// An argument is an operand of n numbers.
type argument struct {
	name string
	n    int
	kind kind
}

// An operation is an operator with right arguments.
type operation struct {
	name      string
	arguments []argument
	call      func(d device.Device, x func(name string) device.Tensor)
}

func asInts(t device.Tensor) device.Ints { return device.Ints{Mem: t.Mem, N: t.N} }

// at is a tensor somewhere in the memory of a device.
func at(address uint64, f device.Format, n int) device.Tensor {
	if n == 0 {
		return device.Tensor{}
	}
	return device.Mem{Addr: address, N: n * f.Size()}.Tensor(f, n)
}

// operations are all of them: 2 rows of 4 numbers, in a layer of 3 outputs.
func operations(d device.Device) []operation {
	s := device.Heads{A: 2, G: 1, D: 4, Rotary: 2, Base: 10000}
	pass := prepared(d, device.Batch{IDs: []int32{1, 15}, Positions: []int32{0, 1}, Targets: []int32{0, 4}, Rows: []int32{1, 1, 0}})
	cached := prepared(d, device.Batch{IDs: []int32{1, 2}, Positions: []int32{5, 6}, CuSeqlens: []int32{0, 1, 2}, Past: []int32{5, 6}, Pages: []int32{0, 1},
		Adapters: []int32{0, -1}, Sampling: []device.Sampling{{Penalty: 2, TopP: 1}, {Penalty: 1, TopP: 1}}})
	type tensors = func(string) device.Tensor
	layer := func(x tensors) *device.Linear {
		return &device.Linear{W: device.Dense(x("W")), Bias: x("Bias"), I: 4, O: 3, LoRA: &device.LoRA{A: x("A"), B: x("B"), U: x("U"), R: 2}}
	}
	lora := []argument{{"W", 12, single}, {"Bias", 3, optional}, {"A", 8, single}, {"B", 6, single}, {"U", 4, single}}
	prefix := func(t device.Tensor) *device.Prefix { return &device.Prefix{Table: t, N: 2, Stride: 9, K: 5, V: 1} }
	step := []argument{{"w", 300, single}, {"g", 300, single}, {"norm", 1, single}}
	weights := func(x tensors) device.Weights { return device.Weights{W: x("w")} }
	moment := func(x tensors, name string) device.Moment { return device.Moment{V: x(name).Mem} }
	return []operation{
		{"Embed", []argument{{"y", 8, either}, {"table", 64, single}}, func(d device.Device, x tensors) {
			d.Embed(x("y"), device.Dense(x("table")), pass, 4)
		}},
		{"EmbedBackward", []argument{{"dtable", 64, either}, {"dy", 8, either}}, func(d device.Device, x tensors) {
			d.EmbedBackward(x("dtable"), x("dy"), pass, 4)
		}},
		{"Gather", []argument{{"y", 12, single}, {"x", 8, single}}, func(d device.Device, x tensors) { d.Gather(x("y"), x("x"), pass, 4) }},
		{"GatherBackward", []argument{{"dx", 8, single}, {"dy", 12, single}}, func(d device.Device, x tensors) {
			d.GatherBackward(x("dx"), x("dy"), pass, 4)
		}},
		{"RMSNorm", []argument{{"y", 8, either}, {"rstd", 2, single}, {"x", 8, either}, {"w", 4, single}}, func(d device.Device, x tensors) {
			d.RMSNorm(x("y"), x("rstd"), device.Tensor{}, x("x"), device.Tensor{}, x("w"), 2, 4, 1e-5)
		}},
		{"RMSNorm", []argument{{"y", 8, single}, {"rstd", 2, single}, {"sum", 8, single}, {"x", 8, single}, {"res", 8, single}, {"w", 4, single}}, func(d device.Device, x tensors) {
			d.RMSNorm(x("y"), x("rstd"), x("sum"), x("x"), x("res"), x("w"), 2, 4, 1e-5)
		}},
		{"RMSNormBackward", []argument{{"dx", 8, single}, {"dw", 4, optional}, {"dy", 8, either}, {"x", 8, single}, {"w", 4, single}, {"rstd", 2, single}}, func(d device.Device, x tensors) {
			d.RMSNormBackward(x("dx"), x("dw"), x("dy"), x("x"), x("w"), x("rstd"), 2, 4)
		}},
		{"Linear", append([]argument{{"y", 6, single}, {"x", 8, either}}, lora...), func(d device.Device, x tensors) {
			d.Linear(x("y"), x("x"), 2, layer(x))
		}},
		{"Linear", []argument{{"y", 6, single}, {"x", 8, either}, {"W", 12, single}, {"A", 8, single}, {"B", 6, single}}, func(d device.Device, x tensors) {
			d.Linear(x("y"), x("x"), 2, &device.Linear{W: device.Dense(x("W")), I: 4, O: 3, Pass: cached,
				Adapters: []device.LoRA{{A: x("A"), B: x("B"), U: at(1<<20, device.F32, 10), R: 2}}})
		}},
		{"LinearBackward", append([]argument{{"dx", 8, optional}, {"dy", 6, single}, {"x", 8, single}, {"dW", 12, optional}, {"dbias", 3, optional},
			{"dA", 8, optional}, {"dB", 6, optional}, {"DU", 4, single}}, lora...), func(d device.Device, x tensors) {
			d.LinearBackward(x("dx"), x("dy"), x("x"), 2, layer(x), &device.LinearGrad{W: x("dW"), Bias: x("dbias"), A: x("dA"), B: x("dB"), DU: x("DU")})
		}},
		{"Merge", []argument{{"W", 12, either}, {"A", 8, single}, {"B", 6, single}}, func(d device.Device, x tensors) {
			d.Merge(&device.Linear{W: device.Dense(x("W")), I: 4, O: 3, LoRA: &device.LoRA{A: x("A"), B: x("B"), R: 2}})
		}},
		{"Rotary", []argument{{"qkv", 32, either}}, func(d device.Device, x tensors) { d.Rotary(x("qkv"), pass, s, false) }},
		{"Attention", []argument{{"o", 16, single}, {"lse", 4, single}, {"qkv", 32, single}, {"prefix", 18, single}}, func(d device.Device, x tensors) {
			d.Attention(x("o"), x("lse"), x("qkv"), pass, s, prefix(x("prefix")))
		}},
		{"AttentionBackward", []argument{{"dqkv", 32, optional}, {"do", 16, single}, {"o", 16, single}, {"lse", 4, single}, {"qkv", 32, single},
			{"prefix", 18, single}, {"dprefix", 18, single}}, func(d device.Device, x tensors) {
			d.AttentionBackward(x("dqkv"), x("do"), x("o"), x("lse"), x("qkv"), pass, s, prefix(x("prefix")), prefix(x("dprefix")))
		}},
		{"AttentionCached", []argument{{"o", 16, single}, {"qkv", 32, single}, {"K", 512, single}, {"V", 512, single}, {"prefix", 18, single}}, func(d device.Device, x tensors) {
			d.AttentionCached(x("o"), x("qkv"), device.Cache{K: x("K"), V: x("V")}, cached, s, prefix(x("prefix")))
		}},
		{"SwiGLU", []argument{{"z", 8, single}, {"u", 16, single}}, func(d device.Device, x tensors) { d.SwiGLU(x("z"), x("u"), 2, 4) }},
		{"SwiGLUBackward", []argument{{"du", 16, single}, {"dz", 8, single}, {"u", 16, single}}, func(d device.Device, x tensors) {
			d.SwiGLUBackward(x("du"), x("dz"), x("u"), 2, 4)
		}},
		{"CrossEntropy", []argument{{"loss", 2, single}, {"hits", 2, optional}, {"dx", 8, optional}, {"x", 8, single}, {"W", 20, single}, {"bias", 5, optional},
			{"dW", 20, optional}, {"dbias", 5, optional}, {"reference", 8, single}}, func(d device.Device, x tensors) {
			d.CrossEntropy(x("loss"), asInts(x("hits")), x("dx"), x("x"), pass, &device.Head{W: device.Dense(x("W")), Bias: x("bias"), H: 4, V: 5},
				&device.HeadGrad{W: x("dW"), Bias: x("dbias")}, 1, device.Objective{KL: 1, Reference: x("reference")})
		}},
		{"TopK", []argument{{"ids", 4, integers}, {"values", 4, single}, {"lse", 2, single}, {"scores", 14, single}}, func(d device.Device, x tensors) {
			d.TopK(asInts(x("ids")), x("values"), x("lse"), x("scores"), 2, 7, 2)
		}},
		{"Sample", []argument{{"ids", 2, integers}, {"seen", 4, integers}, {"logprob", 2, optional}, {"scores", 70, single}}, func(d device.Device, x tensors) {
			d.Sample(asInts(x("ids")), asInts(x("seen")), x("logprob"), x("scores"), cached, 35)
		}},
		{"Tanh", []argument{{"y", 9, single}, {"x", 9, single}}, func(d device.Device, x tensors) { d.Tanh(x("y"), x("x")) }},
		{"TanhBackward", []argument{{"dx", 9, single}, {"dy", 9, single}, {"y", 9, single}}, func(d device.Device, x tensors) {
			d.TanhBackward(x("dx"), x("dy"), x("y"))
		}},
		{"Dropout", []argument{{"y", 9, single}, {"x", 9, single}}, func(d device.Device, x tensors) { d.Dropout(x("y"), x("x"), 0.1, 1) }},
		{"Noise", []argument{{"x", 8, either}}, func(d device.Device, x tensors) { d.Noise(x("x"), pass, 4, 1, 1) }},
		{"Axpy", []argument{{"y", 9, single}, {"x", 9, single}}, func(d device.Device, x tensors) { d.Axpy(x("y"), 1, x("x")) }},
		{"ClipNorm", []argument{{"norm", 2, single}}, func(d device.Device, x tensors) { d.ClipNorm(x("norm"), nil, 1) }},
		{"AdamW", append([]argument{{"m", 300, single}, {"v", 300, single}}, step...), func(d device.Device, x tensors) {
			d.AdamW(weights(x), x("g"), moment(x, "m"), moment(x, "v"), x("norm"), device.AdamW{Step: 1})
		}},
		{"SGD", append([]argument{{"m", 300, single}}, step...), func(d device.Device, x tensors) {
			d.SGD(weights(x), x("g"), moment(x, "m"), x("norm"), device.SGD{Momentum: 0.9})
		}},
		{"Lion", append([]argument{{"m", 300, single}}, step...), func(d device.Device, x tensors) {
			d.Lion(weights(x), x("g"), moment(x, "m"), x("norm"), device.Lion{})
		}},
		{"Average", []argument{{"avg", 9, single}, {"w", 9, single}}, func(d device.Device, x tensors) {
			d.Average(device.Weights{W: x("avg")}, weights(x), 0.5)
		}},
	}
}

// TestWrongOperands: every operator takes right operands, and refuses each of
// them, by the operator's name, when it is too long, too short, off alignment,
// missing, or in a format that it may not have.
func TestWrongOperands(t *testing.T) {
	d := device.Checked(nowhere{})
	for _, o := range operations(d) {
		right := map[string]device.Tensor{}
		for i, a := range o.arguments {
			right[a.name] = at(uint64(i+1)<<20, device.F32, a.n)
		}
		with := func(name string, t device.Tensor) string {
			return refusal(func() {
				o.call(d, func(which string) device.Tensor {
					if which == name {
						return t
					}
					return right[which]
				})
			})
		}
		if got := with("", device.Tensor{}); got != "" {
			t.Errorf("%s refuses right operands: %s", o.name, got)
			continue
		}
		for _, a := range o.arguments {
			here := right[a.name].Mem.Addr
			wrong := map[string]device.Tensor{
				"too long":  at(here, device.F32, a.n+1),
				"too short": at(here, device.F32, a.n-1),
				"off":       at(here+4, device.F32, a.n),
				"missing":   {},
			}
			if a.n == 1 || a.kind == optional {
				delete(wrong, "too short")
				delete(wrong, "missing")
			}
			// A factor is the second number of a norm; weights may lie in a mapped file.
			if a.name == "norm" && a.n == 1 || a.name == "W" || a.name == "table" {
				delete(wrong, "off")
			}
			if a.kind != integers && a.name != "hits" && !strings.HasPrefix(a.name, "m") && a.name != "v" {
				wrong["in fp16"] = at(here, device.F16, a.n)
			}
			if a.name == "W" || a.name == "table" {
				delete(wrong, "in fp16") // they are frozen then
			}
			if a.kind == single && wrong["in fp16"].N > 0 {
				wrong["in bf16"] = at(here, device.BF16, a.n)
			}
			for how, x := range wrong {
				if got := with(a.name, x); !strings.HasPrefix(got, "device: "+o.name+": ") {
					t.Errorf("%s takes %s that is %s: %q", o.name, a.name, how, got)
				}
			}
			if a.kind == either {
				if got := with(a.name, at(here, device.BF16, a.n)); got != "" {
					t.Errorf("%s refuses %s in bf16: %s", o.name, a.name, got)
				}
			}
		}
	}
}
