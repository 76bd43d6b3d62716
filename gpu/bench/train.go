package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/finetune"
)

// Warmup is the number of steps or answers before those that count: they fault
// memory in and wake the threads.
const Warmup = 2

// TrainOptions say what to train.
type TrainOptions struct {
	Shape  chatglm.Config
	Method string           // of finetune.Options
	Batch  int              // sequences a step
	Length int              // tokens of each sequence
	Steps  int              // that count
	Now    func() time.Time // measures the steps
}

// TrainResult is how fast it went.
type TrainResult struct {
	Parameters int64     `json:"parameters"`
	Trainable  int64     `json:"trainable"`
	Tokens     int       `json:"tokens"`  // a step
	Seconds    []float64 `json:"seconds"` // of each step that counts
	Median     float64   `json:"median"`  // of Seconds
	TokensPerS float64   `json:"tokens_per_s"`
	// GFLOPs is the rate at the median, counting two operations for each weight
	// of a linear and each token, forward, and the same for every gradient that
	// the method needs; attention without regard to the causal mask.
	GFLOPs float64 `json:"gflops"`
}

// Train takes optimizer steps on random tokens, each of which is a target:
// forward, backward, clipping, AdamW.
func Train(ctx context.Context, dev device.Device, o TrainOptions) (TrainResult, error) {
	if o.Batch < 1 || o.Length < 2 || o.Steps < 1 {
		return TrainResult{}, fmt.Errorf("train %d sequences of %d tokens for %d steps: want 1, 2 and 1 or more", o.Batch, o.Length, o.Steps)
	}
	model, err := chatglm.New(o.Shape, dev, 1)
	if err != nil {
		return TrainResult{}, err
	}
	defer model.Close()
	options := finetune.DefaultOptions()
	options.Method = o.Method
	options.LoRA.Dropout = 0
	options.BatchTokens = o.Batch * o.Length
	options.MaxSteps = Warmup + o.Steps
	options.Shuffle = false
	options.EvalEvery, options.SaveEvery = 0, 0
	res := TrainResult{Tokens: o.Batch * o.Length}
	done, err := finetune.Run(ctx, model, randomExamples(o), nil, options, finetune.Hooks{
		Now: o.Now,
		OnStep: func(i finetune.StepInfo) {
			if i.Step > Warmup {
				res.Seconds = append(res.Seconds, i.Took.Seconds())
			}
		},
	})
	if err != nil {
		return TrainResult{}, err
	}
	info, err := chatglm.Describe(o.Shape, nil)
	if err != nil {
		return TrainResult{}, err
	}
	res.Parameters, res.Trainable = info.Parameters, done.Trainable
	res.Median = median(res.Seconds)
	res.TokensPerS = float64(res.Tokens) / res.Median
	res.GFLOPs = trainFLOPs(o) * res.TokensPerS / 1e9
	return res, nil
}

// randomExamples are the sequences of every step.
func randomExamples(o TrainOptions) []finetune.Example {
	r := rand.New(rand.NewPCG(1, 2))
	all := make([]finetune.Example, o.Batch)
	for i := range all {
		ids := make([]int32, o.Length)
		for k := range ids {
			ids[k] = r.Int32N(int32(o.Shape.PaddedVocabSize))
		}
		all[i] = finetune.Example{ID: fmt.Sprint(i), IDs: ids, Labels: ids}
	}
	return all
}

// trainFLOPs counts the operations that training takes for one token. Frozen
// weights need no gradient of their own; adapters are too small to count.
func trainFLOPs(o TrainOptions) float64 {
	passes := 6.0
	if o.Method == finetune.LoRA {
		passes = 4
	}
	c := o.Shape
	attention := 12 * float64(c.NumLayers*c.NumAttentionHeads*c.KVChannels*o.Length)
	return passes*linears(c) + attention
}

// linears counts the weights that every token is multiplied with.
func linears(c chatglm.Config) float64 {
	groups := c.MultiQueryGroupNum
	if !c.MultiQueryAttention {
		groups = c.NumAttentionHeads
	}
	q := c.NumAttentionHeads * c.KVChannels
	layer := c.HiddenSize * (q + 2*groups*c.KVChannels + q + 3*c.FFNHiddenSize)
	return float64(c.NumLayers)*float64(layer) + float64(c.HiddenSize)*float64(c.PaddedVocabSize)
}

// median of at least one value.
func median(x []float64) float64 {
	x = slices.Clone(x)
	slices.Sort(x)
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}
