package chatglm

import (
	"math"

	"github.com/glmflow/glmflow/gpu/device"
)

// An oracle is the network in float64, a token at a time and without a backward
// pass: what it says of a loss, and by differences of gradients, is the truth
// that the model is held to. It shares nothing with the model but names, seeds
// and the definition of the random numbers.
type oracle struct {
	c         Config
	w         map[string][]float64
	lora      *lora
	prefix    *prefix
	objective Objective
	step      uint64
}

// newOracle copies the weights of m, as of the training step.
func newOracle(m *Model, step uint64) *oracle {
	o := &oracle{c: m.cfg, w: map[string][]float64{}, lora: m.lora, prefix: m.prefix, objective: m.objective, step: step}
	for _, p := range m.params {
		w := make([]float32, p.Len())
		m.dev.Download(device.Raw(w), p.W.Data)
		for _, v := range w {
			o.w[p.Name] = append(o.w[p.Name], float64(v))
		}
	}
	return o
}

// affine is w·x + bias.
func affine(w, bias, x []float64) []float64 {
	y := make([]float64, len(w)/len(x))
	copy(y, bias)
	for i := range y {
		for j, v := range x {
			y[i] += w[i*len(x)+j] * v
		}
	}
	return y
}

func (o *oracle) norm(x []float64, name string) []float64 {
	square := o.c.LayerNormEpsilon
	for _, v := range x {
		square += v * v / float64(len(x))
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = v / math.Sqrt(square) * o.w[name][i]
	}
	return y
}

// drop is dropout of x, which are elements first, first+1, … of a tensor.
func drop(x []float64, p float32, seed uint64, first int) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		if device.Uniform(seed, uint64(first+i)) >= p {
			y[i] = v / (1 - float64(p))
		}
	}
	return y
}

// linear is target t of a layer for token m of the batch.
func (o *oracle) linear(layer, t int, x []float64, m int, adapters bool) []float64 {
	module := layerName(layer, targets()[t].module)
	y := affine(o.w[module+".weight"], o.w[module+".bias"], x)
	a := o.w["base_model.model."+module+".lora_A.weight"]
	if !adapters || a == nil {
		return y
	}
	scale := float64(o.lora.Alpha) / float64(o.lora.Rank)
	if o.lora.RSLoRA {
		scale = float64(o.lora.Alpha) / math.Sqrt(float64(o.lora.Rank))
	}
	dropped := drop(x, o.lora.Dropout, device.Stream(o.lora.seed, o.step, uint64(4*layer+t)), m*len(x))
	for i, v := range affine(o.w["base_model.model."+module+".lora_B.weight"], nil, affine(a, nil, dropped)) {
		y[i] += scale * v
	}
	return y
}

// keysAndValues are [N,2L·G·D] of the prefix.
func (o *oracle) keysAndValues() [][]float64 {
	if o.prefix == nil {
		return nil
	}
	var rows [][]float64
	table, n := o.w[tableName], o.prefix.Tokens
	for i := range n {
		row := table[i*len(table)/n : (i+1)*len(table)/n]
		width := len(row)
		if o.prefix.Projection {
			middle := affine(o.w[hiddenName+"weight"], o.w[hiddenName+"bias"], row)
			for j, v := range middle {
				middle[j] = math.Tanh(v)
			}
			row = affine(o.w[spreadName+"weight"], o.w[spreadName+"bias"], middle)
		}
		rows = append(rows, drop(row, o.prefix.Dropout, device.Stream(o.prefix.seed, o.step, prefixNoise), i*width))
	}
	return rows
}

// turned is the first half of a head rotated in adjacent pairs.
func turned(x []float64, position int32, base float64) []float64 {
	y := append([]float64(nil), x...)
	for i := 0; i < len(x)/2; i += 2 {
		frequency := float32(math.Pow(base, -float64(i)/float64(len(x)/2)))
		sin, cos := math.Sincos(float64(float32(position) * frequency))
		y[i], y[i+1] = x[i]*cos-x[i+1]*sin, x[i+1]*cos+x[i]*sin
	}
	return y
}

// logits are the scores after each token of b.
func (o *oracle) logits(b Batch, adapters bool) [][]float64 {
	c, s := o.c, o.c.heads()
	x := make([][]float64, len(b.IDs))
	for i := range len(b.CuSeqlens) - 1 {
		for m := b.CuSeqlens[i]; m < b.CuSeqlens[i+1]; m++ {
			x[m] = append([]float64(nil), o.w[embeddingName][int(b.IDs[m])*c.HiddenSize:(int(b.IDs[m])+1)*c.HiddenSize]...)
			if !adapters {
				continue
			}
			length := float64(b.CuSeqlens[i+1]-b.CuSeqlens[i]) * float64(c.HiddenSize)
			for j := range x[m] {
				u := device.Uniform(device.Stream(device.Stream(o.objective.Seed, o.step, embeddingNoise), uint64(i)), uint64(int(m-b.CuSeqlens[i])*c.HiddenSize+j))
				x[m][j] += float64(o.objective.Noise) / math.Sqrt(length) * (2*float64(u) - 1)
			}
		}
	}
	var fixed [][]float64
	if adapters {
		fixed = o.keysAndValues()
	}
	base := 10000.0
	if c.RopeRatio > 0 {
		base *= c.RopeRatio
	}
	for l := range c.NumLayers {
		qkv := make([][]float64, len(x))
		for m := range x {
			qkv[m] = o.linear(l, 0, o.norm(x[m], layerName(l, "input_layernorm.weight")), m, adapters)
			for h := range s.A + s.G {
				copy(qkv[m][h*s.D:], turned(qkv[m][h*s.D:(h+1)*s.D], b.Positions[m], base))
			}
		}
		for i := range len(b.CuSeqlens) - 1 {
			for m := b.CuSeqlens[i]; m < b.CuSeqlens[i+1]; m++ {
				out := make([]float64, s.A*s.D)
				for h := range s.A {
					g := h / (s.A / s.G)
					var keys, values [][]float64
					for _, row := range fixed {
						keys = append(keys, row[(2*l*s.G+g)*s.D:][:s.D])
						values = append(values, row[((2*l+1)*s.G+g)*s.D:][:s.D])
					}
					for j := b.CuSeqlens[i]; j <= m; j++ {
						keys = append(keys, qkv[j][(s.A+g)*s.D:][:s.D])
						values = append(values, qkv[j][(s.A+s.G+g)*s.D:][:s.D])
					}
					p := make([]float64, len(keys))
					for j, k := range keys {
						for e, v := range k {
							p[j] += qkv[m][h*s.D+e] * v / math.Sqrt(float64(s.D))
						}
					}
					for j, v := range logSoftmax(p) {
						for e := range s.D {
							out[h*s.D+e] += math.Exp(v) * values[j][e]
						}
					}
				}
				for e, v := range o.linear(l, 1, out, int(m), adapters) {
					x[m][e] += v
				}
			}
		}
		for m := range x {
			u := o.linear(l, 2, o.norm(x[m], layerName(l, "post_attention_layernorm.weight")), m, adapters)
			z := make([]float64, len(u)/2)
			for j := range z {
				z[j] = u[j] / (1 + math.Exp(-u[j])) * u[len(z)+j]
			}
			for e, v := range o.linear(l, 3, z, m, adapters) {
				x[m][e] += v
			}
		}
	}
	for m := range x {
		x[m] = affine(o.w[outputName], nil, o.norm(x[m], finalNormName))
	}
	return x
}

func logSoftmax(z []float64) []float64 {
	top, sum := math.Inf(-1), 0.0
	for _, v := range z {
		top = math.Max(top, v)
	}
	for _, v := range z {
		sum += math.Exp(v - top)
	}
	y := make([]float64, len(z))
	for i, v := range z {
		y[i] = v - top - math.Log(sum)
	}
	return y
}

// loss is the objective, summed over the targets of b.
func (o *oracle) loss(b Batch) float64 {
	scores, sum := o.logits(b, true), 0.0
	var base [][]float64
	if o.objective.KL > 0 {
		base = o.logits(b, false)
	}
	for i := range len(b.CuSeqlens) - 1 {
		for m := b.CuSeqlens[i]; m+1 < b.CuSeqlens[i+1]; m++ {
			if b.Labels[m+1] < 0 {
				continue
			}
			p := logSoftmax(scores[m])
			smoothing := float64(o.objective.LabelSmoothing)
			sum -= (1 - smoothing) * p[b.Labels[m+1]]
			for _, v := range p {
				sum -= smoothing / float64(len(p)) * v
			}
			if base == nil {
				continue
			}
			for j, v := range logSoftmax(base[m]) {
				sum += float64(o.objective.KL) * math.Exp(v) * (v - p[j])
			}
		}
	}
	return sum
}
