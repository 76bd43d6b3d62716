package cli

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/ops/term"
)

// generateFlags are the flags of generate.
type generateFlags struct {
	model, adapter string
	data           dataFlags
	greedy         bool
	batch          int
	options        chatglm.GenerateOptions
	device         deviceFlags
}

func newGenerateCommand(env Env) *cobra.Command {
	f := generateFlags{data: dataFlags{prompts: true}, options: chatglm.GenerateOptions{MaxNew: 512, Temperature: 0.8, TopP: 0.8, TopK: 50, RepetitionPenalty: 1, Seed: 42}}
	c := &cobra.Command{
		Use:   "generate --model DIR --data FILE",
		Short: "Let a model answer",
		Long: `generate lets the model answer each conversation in --data and writes one JSON
line each: {"id","prompt","output","ids","finish"}. The prompt is the conversation
without the answer it ends with; of a token row, what comes before its last
stretch of targets, or all of it if there is none. An answer finishes with
"stop", where the model ended it, "length" at --max-new, or "context" where the
model's positions end. A prompt that the model cannot take, such as one longer than
its positions, has the line {"id","error"}; the others are answered all the same,
and the exit code is 1.

--logprobs adds "logprobs", one for each of ids, in nats; --top-logprobs N adds
"top_logprobs", for each of ids the N likeliest as {"id","logprob"}. They are the
model's own, before penalty and temperature.

Seed and prompt decide an answer, whatever --batch is.`,
		Example: `  glmflow generate --model chatglm3-6b --adapter adapter --data chats.jsonl --greedy
  glmflow generate --model chatglm3-6b --data chats.jsonl --repetition-penalty 1.1 --top-logprobs 5`,
		Args: wrong(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c, env) },
	}
	o, flags := &f.options, c.Flags()
	flags.StringVar(&f.model, "model", "", "directory of the model: config.json, weights, tokenizer.model")
	flags.StringVar(&f.adapter, "adapter", "", "directory of an adapter (PEFT or prefix) to put on top of the model")
	f.data.add(flags)
	flags.BoolVar(&f.greedy, "greedy", false, "always take the likeliest token; temperature, top-p and top-k do not matter then")
	flags.IntVar(&o.MaxNew, "max-new", o.MaxNew, "tokens an answer may have")
	flags.Float32Var(&o.Temperature, "temperature", o.Temperature, "divides the logits before sampling; 0 is greedy")
	flags.Float32Var(&o.TopP, "top-p", o.TopP, "sample among the likeliest tokens that together have this probability")
	flags.IntVar(&o.TopK, "top-k", o.TopK, "sample among that many likeliest tokens; 0 is all")
	flags.Float32Var(&o.RepetitionPenalty, "repetition-penalty", o.RepetitionPenalty, "more than 1 makes tokens less likely that were there before; 1 is none")
	flags.Uint64Var(&o.Seed, "seed", o.Seed, "of sampling")
	flags.BoolVar(&o.Logprobs, "logprobs", false, "write each token's log-probability")
	flags.IntVar(&o.TopLogprobs, "top-logprobs", 0, "write so many likeliest tokens for each, with log-probabilities")
	flags.IntVar(&f.batch, "batch", 8, "conversations answered at once")
	f.device.add(flags)
	f.device.addWeights(flags)
	require(c, "model", "data")
	return c
}

func (f *generateFlags) run(c *cobra.Command, env Env) error {
	o := f.options
	if o.MaxNew < 1 || f.batch < 1 || o.Temperature < 0 || o.TopP <= 0 || o.TopP > 1 || o.TopK < 0 || o.RepetitionPenalty <= 0 || o.TopLogprobs < 0 {
		return usageError{errors.New("want --max-new and --batch 1 or more, --temperature, --top-k and --top-logprobs 0 or more, --repetition-penalty more than 0, --top-p more than 0 and at most 1")}
	}
	if f.greedy {
		o.Temperature = 0
	}
	enc, err := tokenizer.Open(f.model, tokenizer.Auto)
	if err != nil {
		return err
	}
	o.Stop = tokenizer.SpecialsOf(enc.Pieces()).Stops()
	rows, err := f.data.rows(c.Context(), c.ErrOrStderr(), f.model)
	if err != nil {
		return err
	}
	model, closeAll, err := f.device.load(f.model, f.adapter)
	if err != nil {
		return err
	}
	defer closeAll()
	bar := term.NewProgress(term.NewScreen(c.ErrOrStderr()), env.Now)
	defer bar.Clear()
	out := lines(c.OutOrStdout())
	failed := 0
	for done := 0; done < len(rows); {
		next := rows[done:min(done+f.batch, len(rows))]
		refused := make([]error, len(next))
		var prompts [][]int32
		for i, r := range next {
			if refused[i] = model.CheckPrompt(r.prompt); refused[i] == nil {
				prompts = append(prompts, r.prompt)
			}
		}
		answers, err := model.Generate(c.Context(), prompts, o)
		if err != nil && c.Context().Err() == nil {
			if broken := model.CheckFinite(); errors.Is(broken, chatglm.ErrNotFinite) {
				return broken
			}
		}
		if err != nil {
			return err
		}
		bar.Clear()
		for i, r := range next {
			var line any
			if err := refused[i]; err != nil {
				failed++
				line = failedRow{r.id, err.Error()}
			} else {
				line = f.line(enc, r, answers[0])
				answers = answers[1:]
			}
			if err := out.Encode(line); err != nil {
				return err
			}
		}
		done += len(next)
		bar.Show("generate", int64(done), int64(len(rows)), "")
	}
	return failures(failed, len(rows))
}

// generated is a line of generate's output.
type generated struct {
	ID          json.RawMessage      `json:"id"`
	Prompt      string               `json:"prompt"`
	Output      string               `json:"output"`
	IDs         []int32              `json:"ids"`
	Finish      chatglm.Finish       `json:"finish"`
	Logprobs    []float64            `json:"logprobs,omitzero"`
	TopLogprobs [][]alternativeToken `json:"top_logprobs,omitzero"`
}

type alternativeToken struct {
	ID      int32   `json:"id"`
	Logprob float64 `json:"logprob"`
}

func (f *generateFlags) line(enc tokenizer.Encoder, r row, a chatglm.Answer) generated {
	ids := a.IDs()
	g := generated{ID: r.id, Prompt: enc.Decode(r.prompt), Output: strings.TrimSpace(enc.Decode(ids)), IDs: ids, Finish: a.Finish}
	if f.options.Logprobs {
		g.Logprobs = make([]float64, len(ids))
	}
	if f.options.TopLogprobs > 0 {
		g.TopLogprobs = make([][]alternativeToken, len(ids))
	}
	for i, t := range a.Tokens {
		if g.Logprobs != nil {
			g.Logprobs[i] = t.Logprob
		}
		for _, other := range t.Top {
			g.TopLogprobs[i] = append(g.TopLogprobs[i], alternativeToken(other))
		}
	}
	return g
}
