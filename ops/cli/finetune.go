package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/checkpoint/atomicfile"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/finetune"
	"github.com/glmflow/glmflow/ops/term"
)

// finetuneFlags are the flags of finetune.
type finetuneFlags struct {
	model, adapter, validation, out, metrics string
	data                                     dataFlags
	noShuffle, overwrite                     bool
	options                                  finetune.Options
	device                                   deviceFlags
}

func newFinetuneCommand(env Env) *cobra.Command {
	f := finetuneFlags{options: finetune.DefaultOptions()}
	c := &cobra.Command{
		Use:   "finetune --model DIR --data FILE --out DIR",
		Short: "Fine-tune a model on conversations",
		Long: `finetune trains the model in --model on the conversations in --data and writes
an adapter directory to --out: PEFT's layout with --method lora, the original
project's prefix with ptuning. With freeze and full it is a whole checkpoint.

Conversations are packed into micro-batches of --batch-tokens tokens; a step is
--accumulate of them and weighs every supervised token alike. --batch-tokens 1
trains one conversation a micro-batch.

Interrupted, it keeps checkpoints in --out; the same command goes on from the
newest that is whole and ends with the same bytes; with other options or data it
says what differs and leaves them alone. A model or an adapter in --out stays,
unless --overwrite is given. If it diverges, it writes the
last weights that are known to be good, and fails.`,
		Example: `  glmflow finetune --model chatglm3-6b --data chats.jsonl --out adapter
  glmflow finetune --model chatglm3-6b --data chats.jsonl --val held.jsonl --out adapter \
      --eval-every 100 --patience 3 --metrics curve.jsonl
  glmflow finetune --model chatglm3-6b --data chats.jsonl --out prefix --method ptuning --lr 1e-2
  glmflow finetune --model chatglm3-6b --data chats.jsonl --out tuned --method freeze \
      --freeze-all-but-last 3 --freeze-all-but-modules mlp`,
		Args: wrong(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c, env) },
	}
	o, flags := &f.options, c.Flags()
	flags.StringVar(&f.model, "model", "", "directory of the model: config.json, weights, tokenizer.model")
	f.data.add(flags)
	flags.StringVar(&f.out, "out", "", "directory to write; created")
	flags.BoolVar(&f.overwrite, "overwrite", false, "replace what an earlier training has left in --out: its result, and the checkpoints of one that did not end")
	flags.StringVar(&f.validation, "val", "", "conversations to validate on, like --data; the weights that are best on them are kept")
	flags.StringVar(&f.adapter, "adapter", "", "directory of an adapter (PEFT or prefix) to go on training, instead of a new one")
	flags.StringVar(&f.metrics, "metrics", "", `file to write {"step","loss","lr","grad_norm","tokens","seconds"} to, a line a step`)
	addMethodFlags(flags, o)
	addTrainingFlags(flags, o, &f.noShuffle)
	f.device.add(flags)
	f.device.addWeights(flags)
	require(c, "model", "data", "out")
	return c
}

func (f *finetuneFlags) run(c *cobra.Command, env Env) (err error) {
	f.options.Shuffle = !f.noShuffle
	if err := f.options.Validate(); err != nil {
		return usageError{err}
	}
	if err := f.checkMethodFlags(c.Flags()); err != nil {
		return err
	}
	if err := f.checkPaths(); err != nil {
		return err
	}
	train, err := f.data.rows(c.Context(), c.ErrOrStderr(), f.model)
	if err != nil {
		return err
	}
	var val []row
	if f.validation != "" {
		held := f.data
		held.path = f.validation
		if val, err = held.rows(c.Context(), c.ErrOrStderr(), f.model); err != nil {
			return err
		}
	}
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	if err := f.foresee(dev, train, val); err != nil {
		return errors.Join(err, dev.Close())
	}
	model, done, err := f.device.loadOn(dev, f.model, f.adapter)
	if err != nil {
		return err
	}
	defer done()
	metrics := &metricsFile{path: f.metrics}
	defer func() { err = errors.Join(err, metrics.close()) }()
	base, err := identity(f.model)
	if err != nil {
		return err
	}
	bar := term.NewProgress(term.NewScreen(c.ErrOrStderr()), env.Now)
	checkpoints := finetune.Dir(f.checkpoints())
	result, err := finetune.Run(c.Context(), model, examples(train), examples(val), f.options, finetune.Hooks{
		State:     checkpoints,
		Overwrite: f.overwrite,
		Now:       env.Now,
		Base:      base,
		Log:       newNotices(c.ErrOrStderr(), bar.Clear),
		OnStep: func(i finetune.StepInfo) {
			metrics.step(i)
			bar.Show("train", int64(i.Step), int64(i.Total), stepLine(i))
		},
	})
	bar.Clear()
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w after step %d of %d; the same command goes on from the newest checkpoint in %s", err, result.Steps, result.Planned, string(checkpoints))
	}
	var foreign *finetune.ForeignError
	if errors.As(err, &foreign) {
		return fmt.Errorf("%s: %w; name another --out, or write over it with --overwrite", string(checkpoints), err)
	}
	var diverged *finetune.DivergedError
	if errors.As(err, &diverged) && diverged.Good >= 0 {
		if failed := f.save(model); failed != nil {
			return errors.Join(err, failed)
		}
		return fmt.Errorf("%w; they are in %s", err, f.out)
	}
	if err != nil {
		return err
	}
	if err := f.save(model); err != nil {
		return err
	}
	if err := checkpoints.Remove(); err != nil {
		return err
	}
	bar.Done("train", summary(result))
	fmt.Fprintln(c.OutOrStdout(), f.out)
	return nil
}

// foresee refuses a training that does not fit, before anything is loaded.
func (f *finetuneFlags) foresee(dev device.Device, train, val []row) error {
	sketch := func(dry device.Device) (*chatglm.Model, error) {
		return chatglm.SketchDir(f.model, f.adapter, dry, chatglm.OpenOptions{Weights: f.device.weights})
	}
	_, err := finetune.Foresee(dev, sketch, examples(train), examples(val), f.options)
	var tight *finetune.DoesNotFitError
	if errors.As(err, &tight) {
		return fmt.Errorf("%w; `glmflow doctor --plan` says what other settings take", err)
	}
	return err
}

// checkPaths refuses to write over what is read, or over another result.
func (f *finetuneFlags) checkPaths() error {
	inputs := []input{{"model", f.model}, {"adapter", f.adapter}}
	kind := f.options.Method
	if finetune.Whole(kind) {
		kind = wholeModel
	}
	// What lies beside checkpoints was left there by the run that they belong to,
	// interrupted while it was writing or diverged: they say whose it is.
	unfinished, err := filepath.Glob(filepath.Join(f.checkpoints(), "checkpoint-*.safetensors"))
	if err != nil {
		return err
	}
	if err := checkOut(f.out, kind, f.overwrite || len(unfinished) > 0, inputs...); err != nil {
		return err
	}
	return checkFile("metrics", f.metrics, append(inputs, input{"data", f.data.path}, input{"val", f.validation})...)
}

// checkpoints is the directory in which a training keeps what it needs to go on.
func (f *finetuneFlags) checkpoints() string { return filepath.Join(f.out, "checkpoint") }

// identity tells whether a model directory is still the one that a checkpoint
// was made on: by the sizes and times of its files, as reading them would take
// long.
func identity(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, e := range entries {
		info, err := os.Stat(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", err
		}
		if info.Mode().IsRegular() {
			fmt.Fprintln(&all, e.Name(), info.Size(), info.ModTime().UnixNano())
		}
	}
	return all.String(), nil
}

// save writes what was trained.
func (f *finetuneFlags) save(model *chatglm.Model) error {
	if err := atomicfile.MkdirAll(f.out); err != nil {
		return err
	}
	if finetune.Whole(f.options.Method) {
		if err := chatglm.CopyCompanions(f.out, f.model); err != nil { // what makes it a model comes last
			return err
		}
		return model.Save(f.out)
	}
	return model.SaveAdapter(f.out, f.model)
}

// stepLine is a step in a few words.
func stepLine(i finetune.StepInfo) string {
	if i.Skipped {
		return "skipped: not finite"
	}
	line := fmt.Sprintf("loss %.4f", i.Loss)
	if i.ValLoss != nil {
		line += fmt.Sprintf(" val %.4f", *i.ValLoss)
	}
	return line
}

// summary is a training in a line.
func summary(r finetune.Result) string {
	line := fmt.Sprintf("%d steps, %d tokens", r.Steps, r.Tokens)
	if r.BestLoss != nil && r.StartLoss != nil {
		line += fmt.Sprintf(", validation %.4f → %.4f", *r.StartLoss, *r.BestLoss)
		if r.BestAccuracy != nil {
			line += fmt.Sprintf(", accuracy %.1f %%", 100**r.BestAccuracy)
		}
		line += fmt.Sprintf(" at step %d", r.BestStep)
	} else if n := len(r.Curve); n > 0 {
		line += fmt.Sprintf(", loss %.4f → %.4f", r.Curve[0].Loss, r.Curve[n-1].Loss)
	}
	for _, note := range []struct {
		n    int
		what string
	}{{r.Resumed, "resumed at step %d"}, {r.Recomputed, "%d layers computed twice"}, {r.Skipped, "%d skipped steps"}, {r.Cut, "%d conversations cut"}, {r.Dropped, "%d conversations without a target"}} {
		if note.n > 0 {
			line += ", " + fmt.Sprintf(note.what, note.n)
		}
	}
	if r.Stopped {
		line += ", stopped early"
	}
	return line
}
