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
	f := generateFlags{data: dataFlags{prompts: true}, options: chatglm.GenerateOptions{MaxNew: 512, Temperature: 0.8, TopP: 0.8, TopK: 50, Seed: 42}}
	c := &cobra.Command{
		Use:   "generate --model DIR --data FILE",
		Short: "Let a model answer",
		Long: `generate lets the model answer each conversation in --data and writes one JSON
line each: {"id","prompt","output","ids"}. The prompt is the conversation without
the answer it ends with; of a token row, what comes before its last stretch of
targets, or all of it if there is none.

The same seed and batch give the same answers; with --greedy, any batch does.`,
		Example: `  glmflow generate --model chatglm3-6b --adapter adapter --data chats.jsonl --greedy`,
		Args:    wrong(cobra.NoArgs),
		RunE:    func(c *cobra.Command, _ []string) error { return f.run(c, env) },
	}
	o, flags := &f.options, c.Flags()
	flags.StringVar(&f.model, "model", "", "directory of the model: config.json, weights, tokenizer.model")
	flags.StringVar(&f.adapter, "adapter", "", "PEFT directory to put on top of the model")
	f.data.add(flags)
	flags.BoolVar(&f.greedy, "greedy", false, "always take the likeliest token; temperature, top-p and top-k do not matter then")
	flags.IntVar(&o.MaxNew, "max-new", o.MaxNew, "tokens an answer may have")
	flags.Float32Var(&o.Temperature, "temperature", o.Temperature, "divides the logits before sampling; 0 is greedy")
	flags.Float32Var(&o.TopP, "top-p", o.TopP, "sample among the likeliest tokens that together have this probability")
	flags.IntVar(&o.TopK, "top-k", o.TopK, "sample among that many likeliest tokens; 0 is all")
	flags.Uint64Var(&o.Seed, "seed", o.Seed, "of sampling")
	flags.IntVar(&f.batch, "batch", 8, "conversations answered at once")
	f.device.add(flags)
	require(c, "model", "data")
	return c
}

func (f *generateFlags) run(c *cobra.Command, env Env) error {
	o := f.options
	if o.MaxNew < 1 || f.batch < 1 || o.Temperature < 0 || o.TopP <= 0 || o.TopP > 1 || o.TopK < 0 {
		return usageError{errors.New("want --max-new and --batch 1 or more, --temperature and --top-k 0 or more, --top-p more than 0 and at most 1")}
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
	for done := 0; done < len(rows); {
		next := rows[done:min(done+f.batch, len(rows))]
		prompts := make([][]int32, len(next))
		for i, r := range next {
			prompts[i] = r.prompt
		}
		o.Seed = f.options.Seed + uint64(done) // each batch draws numbers of its own
		answers, err := model.Generate(c.Context(), prompts, o)
		if err != nil {
			return err
		}
		bar.Clear()
		for i, r := range next {
			if err := out.Encode(struct {
				ID     json.RawMessage `json:"id"`
				Prompt string          `json:"prompt"`
				Output string          `json:"output"`
				IDs    []int32         `json:"ids"`
			}{r.id, enc.Decode(r.prompt), strings.TrimSpace(enc.Decode(answers[i])), append([]int32{}, answers[i]...)}); err != nil {
				return err
			}
		}
		done += len(next)
		bar.Show("generate", int64(done), int64(len(rows)), "")
	}
	return nil
}
