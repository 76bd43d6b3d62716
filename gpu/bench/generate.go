package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/glmflow/glmflow/gpu/chatglm"
)

// GenerateOptions say what to generate.
type GenerateOptions struct {
	Prompt int              // tokens of each prompt
	New    int              // tokens of each answer
	Batch  int              // prompts at once
	Runs   int              // that count
	Now    func() time.Time // measures the tokens
}

// GenerateResult is how fast it went, the median of the runs.
type GenerateResult struct {
	PromptSeconds float64 `json:"prompt_seconds"`      // until the first new token of each prompt is there
	PromptPerS    float64 `json:"prompt_tokens_per_s"` // of all prompts together
	TokenSeconds  float64 `json:"token_seconds"`       // for one more token of each answer
	TokensPerS    float64 `json:"tokens_per_s"`        // of all answers together
	// WeightBytes are read once for each new token, all answers together: of the
	// linears and the output layer, as the device stores them.
	WeightBytes int64   `json:"weight_bytes"`
	GBytesPerS  float64 `json:"gbytes_per_s"` // the rate of reading them
}

// Generate lets the model answer random prompts, always taking the likeliest
// token and never stopping early.
func Generate(ctx context.Context, model *chatglm.Model, o GenerateOptions) (GenerateResult, error) {
	if o.Prompt < 1 || o.New < 2 || o.Batch < 1 || o.Runs < 1 {
		return GenerateResult{}, fmt.Errorf("generate %d tokens after prompts of %d, %d at once, %d times: want 2, 1, 1 and 1 or more", o.New, o.Prompt, o.Batch, o.Runs)
	}
	c := model.Config()
	if o.Prompt+o.New > c.SeqLength {
		return GenerateResult{}, fmt.Errorf("generate %d tokens after prompts of %d: the model was made for %d", o.New, o.Prompt, c.SeqLength)
	}
	r := rand.New(rand.NewPCG(1, 2))
	prompts := make([][]int32, o.Batch)
	for i := range prompts {
		for range o.Prompt {
			prompts[i] = append(prompts[i], r.Int32N(int32(c.PaddedVocabSize)))
		}
	}
	var prompt, token []float64
	for run := range Warmup + o.Runs {
		began := o.Now()
		var first, last time.Time
		heard := 0
		_, err := model.Generate(ctx, prompts, chatglm.GenerateOptions{MaxNew: o.New, OnToken: func(int, chatglm.Token) {
			heard++
			last = o.Now()
			if heard == o.Batch {
				first = last
			}
		}})
		if err != nil {
			return GenerateResult{}, err
		}
		if run >= Warmup {
			prompt = append(prompt, first.Sub(began).Seconds())
			token = append(token, last.Sub(first).Seconds()/float64(o.New-1))
		}
	}
	res := GenerateResult{PromptSeconds: median(prompt), TokenSeconds: median(token), WeightBytes: weightBytes(model)}
	res.PromptPerS = float64(o.Batch*o.Prompt) / res.PromptSeconds
	res.TokensPerS = float64(o.Batch) / res.TokenSeconds
	res.GBytesPerS = float64(res.WeightBytes) / res.TokenSeconds / 1e9
	return res, nil
}

// weightBytes counts the bytes of the weights that every token is multiplied
// with, as they are stored. The embedding is not among them: a token reads one
// row of it.
func weightBytes(model *chatglm.Model) int64 {
	bytes := 0
	for _, p := range model.Params() {
		if len(p.Shape) == 2 && !strings.Contains(p.Name, ".embedding.") {
			bytes += p.W.Data.N + p.W.Scales.Mem.N
		}
	}
	return int64(bytes)
}
