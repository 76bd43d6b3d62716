package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/lang"
	"github.com/glmflow/glmflow/ops/talk"
	"github.com/glmflow/glmflow/ops/term"
)

// chatFlags are the flags of chat.
type chatFlags struct {
	flow           flowFlags
	model, adapter string
	system, tools  string
	language       string
	greedy         bool
	options        chatglm.GenerateOptions
	device         deviceFlags
}

func newChatCommand(env Env) *cobra.Command {
	f := chatFlags{options: chatglm.GenerateOptions{MaxNew: 1024, Temperature: 0.8, TopP: 0.8, TopK: 50, RepetitionPenalty: 1, Seed: 42}}
	c := &cobra.Command{
		Use:   "chat --model REF",
		Short: "Talk to a model",
		Long: `chat talks to a model in the terminal. Answers come as they are made, and a turn
computes only what is new in it. Ctrl-C stops an answer; /help lists the commands:
undo, save and load, system text, tools.

REF is a directory, name@alias, name:version, a digest, or "base".

--tools FILE tells the model of tools: a JSON list in ChatGLM3's form. When the
model calls one, the call is shown and you give its result. Nothing is run.

Through a pipe it reads one message a line (a backslash at the end goes on in the
next) and writes the answers; notes go to the error output. After a call the next
line is its result.`,
		Example: `  glmflow chat --model chatglm3-6b --system 'You answer for a shop.'
  glmflow chat --model assistant@production
  echo 'where is my order?' | glmflow chat --model chatglm3-6b --adapter adapter`,
		Args: wrong(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c, env) },
	}
	o, flags := &f.options, c.Flags()
	flags.StringVar(&f.model, "model", "", "model to talk to")
	flags.StringVar(&f.adapter, "adapter", "", "directory of an adapter (PEFT or prefix) to put on top of the model")
	flags.StringVar(&f.system, "system", "", "text that says what the model is to be")
	flags.StringVar(&f.tools, "tools", "", "JSON file with a list of tools that the model may call")
	flags.StringVar(&f.language, "lang", "", "language of notes: en or zh; by default the terminal's")
	flags.BoolVar(&f.greedy, "greedy", false, "always take the likeliest token; temperature, top-p and top-k do not matter then")
	flags.IntVar(&o.MaxNew, "max-new", o.MaxNew, "tokens an answer may have")
	flags.Float32Var(&o.Temperature, "temperature", o.Temperature, "divides the logits before sampling; 0 is greedy")
	flags.Float32Var(&o.TopP, "top-p", o.TopP, "sample among the likeliest tokens that together have this probability")
	flags.IntVar(&o.TopK, "top-k", o.TopK, "sample among that many likeliest tokens; 0 is all")
	flags.Float32Var(&o.RepetitionPenalty, "repetition-penalty", o.RepetitionPenalty, "more than 1 makes tokens less likely that were there before; 1 is none")
	flags.Uint64Var(&o.Seed, "seed", o.Seed, "of sampling; the same messages in the same order get the same answers")
	f.device.add(flags)
	f.device.addWeights(flags)
	f.flow.add(flags)
	f.flow.addBase(flags)
	flags.Lookup("verbose").Usage = "tell how fast answers come, and log what happens inside, as log.level says"
	require(c, "model")
	return c
}

func (f *chatFlags) run(c *cobra.Command, env Env) error {
	o := f.options
	if o.MaxNew < 1 || o.Temperature < 0 || o.TopP <= 0 || o.TopP > 1 || o.TopK < 0 || o.RepetitionPenalty <= 0 {
		return usageError{errors.New("want --max-new 1 or more, --temperature and --top-k 0 or more, --repetition-penalty more than 0, --top-p more than 0 and at most 1")}
	}
	if f.greedy {
		o.Temperature = 0
	}
	if f.language == "" {
		f.language = lang.FromEnviron(env.Environ)
	}
	if f.language != "en" && f.language != "zh" {
		return usagef("--lang %s: want en or zh", f.language)
	}
	say, err := lang.New(f.language)
	if err != nil {
		return err
	}
	tools := ""
	if f.tools != "" {
		if tools, err = talk.ReadTools(f.tools); err != nil {
			return err
		}
	}
	dir, adapter, err := f.find(c, env)
	if err != nil {
		return err
	}
	enc, err := tokenizer.Open(dir, tokenizer.Auto)
	if err != nil {
		return err
	}
	model, closeAll, err := f.device.load(dir, adapter)
	if err != nil {
		return err
	}
	defer closeAll()
	session, err := model.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()

	// Ctrl-C ends the context of other commands. Here it ends an answer, so the
	// signals are heard again, and what ends all is only the other one.
	if err := c.Context().Err(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.WithoutCancel(c.Context()), syscall.SIGTERM)
	defer stop()
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)

	t := &talk.Talk{
		Conversation: talk.Conversation{Speaker: session, Encoder: enc, Context: model.Config().SeqLength, System: f.system, Tools: tools},
		Options:      o, Out: term.NewScreen(c.OutOrStdout()), Err: term.NewScreen(c.ErrOrStderr()),
		Say: say, Now: env.Now, Verbose: f.flow.verbose, Interrupts: interrupts,
	}
	if t.Out.Terminal && term.Interactive(c.InOrStdin()) {
		t.In = &talk.Editor{In: c.InOrStdin(), Out: t.Out, Say: say, Environ: env.Environ}
	} else {
		t.In = talk.NewLines(c.InOrStdin(), interrupts)
	}
	return t.Run(ctx)
}

// find says where the model lies, and the adapter on top of it. A directory is
// taken as it is; for another reference the flow is asked.
func (f *chatFlags) find(c *cobra.Command, env Env) (dir, adapter string, err error) {
	if info, bad := os.Stat(f.model); bad == nil && info.IsDir() {
		dir = f.model
		kind, err := chatglm.AdapterKind(dir)
		if err != nil {
			return "", "", err
		}
		if kind != "" {
			conf, err := f.flow.config(env)
			if err != nil {
				return "", "", err
			}
			if conf.Model.Base == "" {
				return "", "", usagef("--model %s is an adapter: say with --base what it stands on", dir)
			}
			dir, adapter = conf.Model.Base, dir
		}
	} else {
		err = f.flow.with(c, env, func(ctx context.Context, a *app.App) error {
			found, err := a.Model(ctx, f.model)
			dir, adapter = found.Dir, found.Adapter
			return err
		})
	}
	if err == nil && f.adapter != "" {
		if adapter != "" {
			return "", "", usagef("--model %s is an adapter already: --adapter would be a second", f.model)
		}
		adapter = f.adapter
	}
	return dir, adapter, err
}
