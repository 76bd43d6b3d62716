package cli

import (
	"errors"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/gpu/bench"
	"github.com/glmflow/glmflow/gpu/bench/peak"
	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/finetune"
)

func newBenchCommand(env Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure how fast this machine trains and answers",
		Long: `bench measures the engine on models with random weights: whole training steps as
finetune takes them, answers as generate gives them, and what the machine could
do at best. Stop other work meanwhile, or it measures that too.`,
		Args: wrong(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newBenchTrainCommand(env), newBenchGenerateCommand(env), newBenchPeakCommand())
	return c
}

// benchFlags are the flags of bench's measurements on models.
type benchFlags struct {
	shape  string
	device deviceFlags
	json   bool
}

func (f *benchFlags) add(c *cobra.Command, shape string) {
	c.Flags().StringVar(&f.shape, "shape", shape, shapeUsage())
	f.device.add(c.Flags())
	jsonFlag(c.Flags(), &f.json)
}

// measurement is what every answer of bench begins with.
type measurement struct {
	Device device.Info    `json:"device"`
	Shape  chatglm.Config `json:"shape"`
}

// open opens the device and reads the shape.
func (f *benchFlags) open() (device.Device, measurement, error) {
	shape, err := chatglm.ParseShape(f.shape)
	if err != nil {
		return nil, measurement{}, usageError{err}
	}
	dev, err := f.device.open()
	if err != nil {
		return nil, measurement{}, err
	}
	return dev, measurement{dev.Info(), shape}, nil
}

func (m measurement) write(w io.Writer) {
	c := m.Shape
	say(w, "device    %s", m.Device.Name)
	say(w, "model     %d layers of %d, vocabulary %s", c.NumLayers, c.HiddenSize, digits(int64(c.PaddedVocabSize)))
}

func newBenchTrainCommand(env Env) *cobra.Command {
	var f benchFlags
	o := bench.TrainOptions{Method: finetune.Full, Batch: 8, Length: 256, Steps: 5, Now: env.Now}
	c := &cobra.Command{
		Use:   "train",
		Short: "Measure training steps",
		Long: `train takes whole training steps as finetune does: forward, backward, clipping,
AdamW. The first steps do not count; of the others the median does.`,
		Example: `  glmflow bench train --precision bf16
  glmflow bench train --shape demo --method lora --batch 16 --length 128 --json`,
		Args: wrong(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			dev, m, err := f.open()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, dev.Close()) }()
			o.Shape = m.Shape
			r, err := bench.Train(c.Context(), dev, o)
			if err != nil {
				return err
			}
			if f.json {
				return writeJSON(c.OutOrStdout(), struct {
					measurement
					Method string `json:"method"`
					Batch  int    `json:"batch"`
					Length int    `json:"length"`
					bench.TrainResult
				}{m, o.Method, o.Batch, o.Length, r})
			}
			w := c.OutOrStdout()
			m.write(w)
			say(w, "training  %s, %s of %s parameters, %d sequences of %d tokens a step", o.Method, digits(r.Trainable), digits(r.Parameters), o.Batch, o.Length)
			say(w, "a step    %.3f s, median of %d", r.Median, len(r.Seconds))
			say(w, "          %s tokens/s, %.0f GFLOP/s", digits(int64(r.TokensPerS)), r.GFLOPs)
			return nil
		},
	}
	f.add(c, "small")
	c.Flags().StringVar(&o.Method, "method", o.Method, "what to train: full or lora")
	c.Flags().IntVar(&o.Batch, "batch", o.Batch, "sequences a step")
	c.Flags().IntVar(&o.Length, "length", o.Length, "tokens of each sequence")
	c.Flags().IntVar(&o.Steps, "steps", o.Steps, "steps that count")
	return c
}

func newBenchGenerateCommand(env Env) *cobra.Command {
	var f benchFlags
	var model string
	o := bench.GenerateOptions{Prompt: 128, New: 32, Batch: 1, Runs: 3, Now: env.Now}
	c := &cobra.Command{
		Use:   "generate",
		Short: "Measure reading prompts and writing answers",
		Long: `generate lets a model answer as the verb generate does, greedily. The time up to
the first token of the answers is that of the prompts; the rest is divided by
the tokens that follow. The first answers do not count; of the others the median
does.`,
		Example: `  glmflow bench generate --shape 1b --precision bf16
  glmflow bench generate --model chatglm3-6b --weights stored --batch 4`,
		Args: wrong(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if model != "" && c.Flags().Changed("shape") {
				return usagef("--model and --shape: want one of them")
			}
			if model == "" && f.device.weights != "" {
				return usagef("--weights %s: want --model, too; random models are made in fp32", f.device.weights)
			}
			dev, m, err := f.open()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, dev.Close()) }()
			var loaded *chatglm.Model
			if model != "" {
				loaded, err = chatglm.OpenWith(model, dev, chatglm.OpenOptions{Weights: f.device.weights})
			} else {
				loaded, err = chatglm.New(m.Shape, dev, 1)
			}
			if err != nil {
				return err
			}
			defer loaded.Close()
			m.Shape = loaded.Config()
			r, err := bench.Generate(c.Context(), loaded, o)
			if err != nil {
				return err
			}
			if f.json {
				return writeJSON(c.OutOrStdout(), struct {
					measurement
					Batch  int `json:"batch"`
					Prompt int `json:"prompt"`
					New    int `json:"new"`
					bench.GenerateResult
				}{m, o.Batch, o.Prompt, o.New, r})
			}
			w := c.OutOrStdout()
			m.write(w)
			say(w, "prompts   %d of %d tokens in %.3f s: %s tokens/s", o.Batch, o.Prompt, r.PromptSeconds, digits(int64(r.PromptPerS)))
			say(w, "answers   %.1f tokens/s; %s of weights a token, %.1f GB/s", r.TokensPerS, byteSize(r.WeightBytes), r.GBytesPerS)
			return nil
		},
	}
	f.add(c, "demo")
	f.device.addWeights(c.Flags())
	c.Flags().StringVar(&model, "model", "", "directory of a model, instead of a random one")
	c.Flags().IntVar(&o.Prompt, "prompt", o.Prompt, "tokens of each prompt")
	c.Flags().IntVar(&o.New, "new", o.New, "tokens of each answer")
	c.Flags().IntVar(&o.Batch, "batch", o.Batch, "prompts answered at once")
	c.Flags().IntVar(&o.Runs, "runs", o.Runs, "answers that count")
	return c
}

func newBenchPeakCommand() *cobra.Command {
	var workers int
	var asJSON bool
	c := &cobra.Command{
		Use:   "peak",
		Short: "Measure what the machine could do at best",
		Long: `peak measures multiplications on registers alone, in float32 and, where the
processor has them, in bfloat16 with vectors (avx512) and with tiles (amx), and
reading memory that no cache holds. Each is the best of several tries.`,
		Args: wrong(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			limits, err := peak.Measure(workers)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), limits)
			}
			for _, l := range limits {
				say(c.OutOrStdout(), "%-12s %6.0f %s", l.Name, l.Best, l.Unit)
			}
			return nil
		},
	}
	c.Flags().IntVar(&workers, "workers", runtime.GOMAXPROCS(0), "threads")
	jsonFlag(c.Flags(), &asJSON)
	return c
}
