package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/ops/term"
)

// scoreFlags are the flags of score.
type scoreFlags struct {
	model, adapter, dump, gradients string
	data                            dataFlags
	batchTokens                     int
	device                          deviceFlags
}

func newScoreCommand(env Env) *cobra.Command {
	var f scoreFlags
	c := &cobra.Command{
		Use:   "score --model DIR --data FILE",
		Short: "Measure how likely a model finds conversations",
		Long: `score measures the loss of the model on each conversation in --data and writes
one JSON line each: {"id","tokens","targets","nll"}: how many tokens it has, how
many of them are targets, and the sum of their negative log-likelihoods in nats.
A conversation that the model cannot take has the line {"id","error"}; the others
are measured all the same, and the exit code is 1.

With --dump it also writes the logits: a safetensors file with one fp32 tensor
logits/<id> of shape [tokens, vocabulary] for each conversation. With --gradients
it writes how the mean loss of all targets changes with every weight, adapters
too and without dropout: a tensor of the weight's name and shape each. That is
for checks against other implementations, and takes the memory of a full
training without an optimizer.`,
		Example: `  glmflow score --model chatglm3-6b --data held.jsonl
  glmflow score --model tiny --data rows.jsonl --dump logits.safetensors --device reference`,
		Args: wrong(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c, env) },
	}
	flags := c.Flags()
	flags.StringVar(&f.model, "model", "", "directory of the model: config.json, weights, tokenizer.model")
	flags.StringVar(&f.adapter, "adapter", "", "directory of an adapter (PEFT or prefix) to put on top of the model")
	f.data.add(flags)
	flags.StringVar(&f.dump, "dump", "", "safetensors file to write the logits to")
	flags.StringVar(&f.gradients, "gradients", "", "safetensors file to write the gradient of the mean loss to")
	flags.IntVar(&f.batchTokens, "batch-tokens", 2048, "tokens computed at once; a longer conversation goes alone")
	f.device.add(flags)
	f.device.addWeights(flags)
	require(c, "model", "data")
	return c
}

func (f *scoreFlags) run(c *cobra.Command, env Env) error {
	if f.batchTokens < 1 {
		return usagef("--batch-tokens %d: want 1 or more", f.batchTokens)
	}
	if f.dump != "" && f.dump == f.gradients {
		return usagef("--dump and --gradients both name %s", f.dump)
	}
	inputs := []input{{"model", f.model}, {"adapter", f.adapter}, {"data", f.data.path}}
	if err := errors.Join(checkFile("dump", f.dump, inputs...), checkFile("gradients", f.gradients, inputs...)); err != nil {
		return err
	}
	rows, err := f.data.rows(c.Context(), c.ErrOrStderr(), f.model)
	if err != nil {
		return err
	}
	model, done, err := f.device.load(f.model, f.adapter)
	if err != nil {
		return err
	}
	defer done()
	bar := term.NewProgress(term.NewScreen(c.ErrOrStderr()), env.Now)
	defer bar.Clear()
	out := lines(c.OutOrStdout())
	broken := sync.OnceValue(model.CheckFinite) // it reads all weights
	var measured []row
	for start := 0; start < len(rows); {
		next := rows[start : start+take(rows[start:], f.batchTokens)]
		losses, err := measure(model, next, broken)
		if err != nil {
			return err
		}
		bar.Clear()
		for i, r := range next {
			if losses[i].err == nil {
				measured = append(measured, r)
			}
			if err := out.Encode(losses[i].line(r)); err != nil {
				return err
			}
		}
		start += len(next)
		bar.Show("score", int64(start), int64(len(rows)), "")
		if err := c.Context().Err(); err != nil {
			return err
		}
	}
	failed := failures(len(rows)-len(measured), len(rows))
	if len(measured) == 0 {
		return failed
	}
	if f.dump != "" {
		if err := safetensors.Create(f.dump, logits(c.Context(), model, measured, func(done int) {
			bar.Show("dump", int64(done), int64(len(measured)), "")
		}), nil); err != nil {
			return err
		}
	}
	if f.gradients != "" {
		values, err := gradients(c.Context(), model, measured, f.batchTokens)
		if err != nil {
			return err
		}
		if err := safetensors.Create(f.gradients, values, nil); err != nil {
			return err
		}
	}
	return failed
}

// A loss is what was measured on a conversation, or why nothing was.
type loss struct {
	nll     float64 // nats
	targets int
	err     error
}

// line is what is printed of it.
func (l loss) line(r row) any {
	if l.err != nil {
		return failedRow{r.id, l.err.Error()}
	}
	return struct {
		ID      json.RawMessage `json:"id"`
		Tokens  int             `json:"tokens"`
		Targets int             `json:"targets"`
		NLL     float64         `json:"nll"`
	}{r.id, len(r.ids), l.targets, l.nll}
}

// measure computes the losses of rows at once; broken says which weight is not
// finite.
func measure(model *chatglm.Model, rows []row, broken func() error) ([]loss, error) {
	losses := make([]loss, len(rows))
	var known []row
	for i, r := range rows {
		if losses[i].err = r.check(model.Config().PaddedVocabSize); losses[i].err == nil {
			known = append(known, r)
		}
	}
	if len(known) == 0 {
		return losses, nil
	}
	nll, targets, err := model.Loss(packRows(known))
	if err != nil {
		return nil, err
	}
	for i := range losses {
		if losses[i].err == nil {
			losses[i] = loss{nll[0], targets[0], finiteLoss(nll[0], broken)}
			nll, targets = nll[1:], targets[1:]
		}
	}
	return losses, nil
}

// finiteLoss says why a loss is no number that could be printed.
func finiteLoss(nll float64, broken func() error) error {
	if !math.IsNaN(nll) && !math.IsInf(nll, 0) {
		return nil
	}
	if err := broken(); err != nil {
		return fmt.Errorf("the loss is not finite: %w", err)
	}
	return errors.New("the loss is not finite, though every weight is")
}

// take is how many of rows are computed at once: at least one, and as many as
// have limit tokens together.
func take(rows []row, limit int) int {
	n, tokens := 1, len(rows[0].ids)
	for n < len(rows) && tokens+len(rows[n].ids) <= limit {
		tokens += len(rows[n].ids)
		n++
	}
	return n
}

func packRows(rows []row) chatglm.Batch {
	seqs := make([]chatglm.Sequence, len(rows))
	for i, r := range rows {
		seqs[i] = chatglm.Sequence{IDs: r.ids, Labels: r.labels}
	}
	return chatglm.Pack(seqs)
}

// logits are the tensors of --dump, each computed when it is written.
func logits(ctx context.Context, model *chatglm.Model, rows []row, progress func(done int)) []safetensors.Output {
	out := make([]safetensors.Output, len(rows))
	for i, r := range rows {
		out[i] = safetensors.Output{
			Name:  "logits/" + r.name(),
			Shape: []int{len(r.ids), model.Config().PaddedVocabSize},
			Read: func(dst []float32) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				values, err := model.Logits(packRows(rows[i : i+1]))
				copy(dst, values)
				progress(i + 1)
				return err
			},
		}
	}
	return out
}

// gradients are the tensors of --gradients. They stay on the device until they
// are written.
func gradients(ctx context.Context, model *chatglm.Model, rows []row, batchTokens int) ([]safetensors.Output, error) {
	_, lora := model.LoRA()
	if _, prefix := model.Prefix(); lora || prefix {
		if err := model.SetDropout(0, 0); err != nil {
			return nil, err
		}
	}
	if err := model.TrainAll(); err != nil {
		return nil, err
	}
	targets := 0
	for _, r := range rows {
		for _, l := range r.labels[1:] { // nothing stands before the first that could predict it
			if l >= 0 {
				targets++
			}
		}
	}
	if targets == 0 {
		return nil, errors.New("gradients: no conversation has a target")
	}
	dev := model.Device()
	for rest := rows; len(rest) > 0; {
		n := take(rest, batchTokens)
		if _, err := model.Accumulate(packRows(rest[:n]), 1/float32(targets), 0); err != nil {
			return nil, err
		}
		if err := errors.Join(ctx.Err(), dev.Sync()); err != nil {
			return nil, err
		}
		rest = rest[n:]
	}
	var out []safetensors.Output
	for _, p := range model.Trainable() {
		out = append(out, safetensors.Output{Name: p.Name, Shape: p.Shape, Read: func(dst []float32) error {
			dev.Download(device.Raw(dst), p.Grad.Mem)
			return dev.Sync()
		}})
	}
	return out, nil
}
