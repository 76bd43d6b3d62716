package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/dry"
	"github.com/glmflow/glmflow/gpu/finetune"
	"github.com/glmflow/glmflow/ops/term"
)

// planFlags say which training to foresee, and where.
type planFlags struct {
	wanted       bool
	model, shape string
	stored       string
	length       int
	on           string
	options      finetune.Options
	noShuffle    bool
	device       deviceFlags
}

func (f *planFlags) add(flags *pflag.FlagSet) {
	f.options = finetune.DefaultOptions()
	flags.BoolVar(&f.wanted, "plan", false, "instead of checking: say what a training takes of memory and time before anything is loaded, and the smallest change with which it fits; all flags below are for it")
	flags.StringVar(&f.model, "model", "", "directory of the model that is to be trained")
	flags.StringVar(&f.shape, "shape", "chatglm3-6b", "without --model: the shape of one ("+strings.Join(chatglm.Shapes(), ", ")+"), as for model init")
	flags.StringVar(&f.stored, "stored", "bf16", "without --model: the format that its files have")
	flags.IntVar(&f.length, "length", 512, "tokens of a conversation; --batch-tokens of them are a micro-batch")
	flags.StringVar(&f.on, "on", "", "plan for a GPU that is not at hand: "+cardNames()+"; without it for the device of this machine")
	addMethodFlags(flags, &f.options)
	addTrainingFlags(flags, &f.options, &f.noShuffle)
	f.device.add(flags)
	f.device.addWeights(flags)
}

func cardNames() string {
	var names []string
	for _, c := range dry.Cards() {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}

// A plan is what doctor --plan says.
type plan struct {
	Device      string  `json:"device"`
	Method      string  `json:"method"`
	Weights     string  `json:"weights_format"`
	Tokens      int     `json:"batch_tokens"`
	Limit       int64   `json:"limit"` // bytes, 0 for none that is known
	Recomputed  int     `json:"layers_computed_twice"`
	WeightBytes int64   `json:"weights"`
	Gradients   int64   `json:"gradients"`
	Optimizer   int64   `json:"optimizer"`
	Activations int64   `json:"activations"`
	Workspace   int64   `json:"workspace"`
	Total       int64   `json:"total"`
	Host        int64   `json:"host"`         // beside the device, or, on a host, part of the total
	Seconds     float64 `json:"step_seconds"` // about, of a micro-batch and an update
	Fits        bool    `json:"fits"`
	Advice      string  `json:"advice,omitempty"`
	steps       int
}

func (f *planFlags) run(c *cobra.Command, env Env, asJSON bool) error {
	if err := f.options.Validate(); err != nil {
		return usageError{err}
	}
	if f.length < 2 || f.options.BatchTokens < 1 {
		return usagef("--length %d, --batch-tokens %d: want 2 and 1 or more", f.length, f.options.BatchTokens)
	}
	machine, rates, host, done, err := f.machine(env)
	if err != nil {
		return err
	}
	defer done()
	job, err := f.job()
	if err != nil {
		return err
	}
	limit := int64(f.options.Memory)
	if limit == 0 {
		limit = machine.Info.Memory
	}
	p := plan{Device: machine.Info.Name, Method: f.options.Method, Tokens: job.Tokens, Limit: limit, Fits: true, steps: f.options.MaxSteps}
	forecast, err := job.Forecast(machine, 0)
	if err == nil && limit > 0 {
		forecast, err = job.Fit(machine, limit, host)
		var tight *finetune.DoesNotFitError
		if errors.As(err, &tight) {
			p.Fits, p.Advice, err = false, tight.Advice, nil
		}
	}
	if err != nil {
		return err
	}
	p.fill(forecast, host, rates)
	if p.Weights, err = f.kept(); err != nil {
		return err
	}
	if asJSON {
		err = writeJSON(c.OutOrStdout(), p)
	} else {
		p.write(term.NewScreen(c.OutOrStdout()), forecast, rates)
	}
	if err == nil && !p.Fits {
		return errors.New("the training does not fit: " + p.Advice)
	}
	return err
}

// machine is what to plan for, how fast it is, and whether its memory is the
// host's.
func (f *planFlags) machine(env Env) (m dry.Machine, r dry.Rates, host bool, done func(), err error) {
	if f.on != "" {
		card, err := dry.CardNamed(f.on)
		if err != nil {
			return m, r, false, nil, usagef("--on: %v", err)
		}
		return card.Machine(), card.Rates, false, func() {}, nil
	}
	dev, err := f.device.open()
	if err != nil {
		return m, r, false, nil, err
	}
	if r, err = dry.Probe(dev, env.Now); err != nil {
		return m, r, false, nil, errors.Join(err, dev.Close())
	}
	return dry.Like(dev), r, dev.Info().InPlace, func() { dev.Close() }, nil
}

// job is the training that the flags describe.
func (f *planFlags) job() (finetune.Job, error) {
	o := chatglm.OpenOptions{Weights: f.device.weights}
	sketch := func(dev device.Device) (*chatglm.Model, error) { return chatglm.SketchDir(f.model, "", dev, o) }
	if f.model == "" {
		config, err := chatglm.ParseShape(f.shape)
		if err != nil {
			return finetune.Job{}, err
		}
		sketch = func(dev device.Device) (*chatglm.Model, error) { return chatglm.Sketch(config, dev, o, f.stored) }
	}
	tokens := max(f.options.BatchTokens, f.length)
	return finetune.Job{
		Sketch: sketch, Options: f.options, Tokens: tokens, Conversations: max(1, tokens/f.length), Longest: f.length, Validated: true,
	}, nil
}

// kept is how the weights are kept.
func (f *planFlags) kept() (string, error) {
	job, err := f.job()
	if err != nil {
		return "", err
	}
	m, err := job.Sketch(dry.New(dry.Machine{}).Checked())
	if err != nil {
		return "", err
	}
	defer m.Close()
	return m.Weights(), nil
}

// ownBytes is about what the program takes without a model: its code, the
// vocabulary, the conversations.
const ownBytes = 40 << 20

func (p *plan) fill(f finetune.Forecast, host bool, r dry.Rates) {
	p.Recomputed, p.WeightBytes, p.Gradients, p.Optimizer = f.Recomputed, f.Weights, f.Gradients, f.Optimizer
	p.Activations, p.Workspace, p.Host, p.Total = f.Activations, f.Workspace, ownBytes+f.Host, f.Device()
	if host {
		p.Total += p.Host
	}
	p.Seconds = f.Step.On(r).Seconds()
}

// write draws the plan: what takes how much, as a bar against the limit.
func (p *plan) write(s *term.Screen, f finetune.Forecast, r dry.Rates) {
	say(s.W, "%s on %s, weights in %s, micro-batches of %s tokens", p.Method, p.Device, p.Weights, digits(int64(p.Tokens)))
	table := [][]string{}
	for _, row := range []struct {
		what  string
		bytes int64
		note  string
	}{
		{"weights", p.WeightBytes, "of the whole model, " + p.Weights},
		{"gradients", p.Gradients, "of what is trained, with new adapters"},
		{"optimizer", p.Optimizer, "what it remembers, and the moving average"},
		{"activations", p.Activations, fmt.Sprintf("%d of the layers computed twice", p.Recomputed)},
		{"workspace", p.Workspace, "of operators"},
		{"host", p.Host, "the program, the best weights, checkpoints under way"},
	} {
		table = append(table, []string{row.what, byteSize(row.bytes), row.note})
	}
	table = append(table, []string{"in all", byteSize(p.Total), p.verdict()})
	fmt.Fprint(s.W, s.Table(table, 1))
	step := time.Duration(p.Seconds * float64(time.Second))
	say(s.W, "%s", term.Wrap(fmt.Sprintf("a step of one micro-batch: about %s, %.3g tokens/s, %.3g TFLOP; longest: %s",
		roundDuration(step), float64(p.Tokens)/p.Seconds, f.Step.Flops()/1e12, strings.Join(first(f.Step.Longest(r), 3), ", ")), s.Width, ""))
	if p.steps > 0 {
		say(s.W, "%s steps: about %s", digits(int64(p.steps)), roundDuration(step*time.Duration(p.steps)))
	}
}

func (p *plan) verdict() string {
	switch {
	case p.Limit == 0:
		return "no limit is known"
	case p.Fits:
		return "fits into " + byteSize(p.Limit)
	}
	return "does not fit into " + byteSize(p.Limit)
}

// first are at most n of all.
func first(all []string, n int) []string { return all[:min(n, len(all))] }

// roundDuration has three digits or so.
func roundDuration(d time.Duration) time.Duration {
	for _, unit := range []time.Duration{time.Microsecond, time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, time.Second, time.Minute} {
		if d < 1000*unit {
			return d.Round(unit)
		}
	}
	return d.Round(time.Minute)
}
