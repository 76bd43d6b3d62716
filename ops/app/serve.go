package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/glmflow/glmflow/gpu"
	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/lineage"
	"github.com/glmflow/glmflow/pipeline/trigger"
	"github.com/glmflow/glmflow/pipeline/window"
	"github.com/glmflow/glmflow/stages"
	"github.com/glmflow/glmflow/stages/evaluate"
	"github.com/glmflow/glmflow/stages/publish"
	"github.com/glmflow/glmflow/stages/tokenize"
	"github.com/glmflow/glmflow/stages/train"
)

// Serve works as the configured stages until ctx is cancelled, then gives back
// what it holds and returns nil. Together with the stages it turns firings of
// schedules into retrainings, and thresholds too; any number of processes may.
func (a *App) Serve(ctx context.Context, observer pipeline.Observer) error {
	err := a.serve(ctx, observer)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // told to stop before it had begun
	}
	return err
}

func (a *App) serve(ctx context.Context, observer pipeline.Observer) error {
	if err := a.Ready(); err != nil {
		return err
	}
	names := a.Stages()
	deps, done, err := a.deps(ctx, names)
	if err != nil {
		return err
	}
	defer done()
	made, err := stages.New(names, a.stageConfig(), deps)
	if err != nil {
		return err
	}
	runner, err := pipeline.NewRunner(pipeline.RunnerConfig{
		Broker: a.Broker, Store: a.Store, Stages: made, Observer: observer, Clock: a.Now, Log: a.Log,
		AckWait: a.Config.Redeliver,
	})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return runner.Run(ctx) })
	group.Go(func() error { return trigger.NewBridge(a.Broker, a.Log).Run(ctx) })
	if n := a.Config.Trigger.FreshDialogues; n > 0 {
		t := trigger.Threshold{Model: a.Config.Model.Name, Fresh: n}
		group.Go(func() error { return t.Watch(ctx, a.Broker, a.Ledger, a.Log) })
	}
	return group.Wait()
}

// Stages are the names of the stages that this process serves. Whoever trains
// also cuts the windows.
func (a *App) Stages() []string {
	names := a.Config.Stages
	if len(names) == 0 {
		for _, s := range stages.Specs() {
			names = append(names, s.Name)
		}
		return names
	}
	if slices.Contains(names, "train") {
		names = append(slices.Clone(names), window.Name)
	}
	return names
}

// stageConfig hands each stage its section. The model's name is said once.
func (a *App) stageConfig() stages.Config {
	c := a.Config
	c.Window.Model = c.Model.Name
	return stages.Config{
		Ingest: c.Ingest, Clean: c.Clean, Tokenize: c.Tokenize, Window: c.Window,
		Train: c.Train, Evaluate: c.Evaluate, Publish: c.Publish,
	}
}

// deps opens what the named stages need and nothing else. The caller calls done.
func (a *App) deps(ctx context.Context, names []string) (d stages.Deps, done func(), err error) {
	done = func() {}
	has := func(stage string) bool { return slices.Contains(names, stage) }
	d.Catalog = a.Ledger
	if has("publish") {
		key, err := lineage.OpenKey(a.KeyFile(), rand.Reader)
		if err != nil {
			return d, done, err
		}
		d.Publish = publish.Deps{Models: a.Ledger, Key: key}
	}
	if !has("tokenize") && !has("train") && !has("evaluate") {
		return d, done, nil
	}
	base, err := openBase(ctx, a.Config.Model.Base)
	if err != nil {
		return d, done, err
	}
	if d.Encoder, err = tokenizer.Open(base.dir, a.Config.Model.Tokenizer); err != nil {
		return d, done, err
	}
	if !has("train") && !has("evaluate") {
		return d, done, nil
	}
	dev, err := gpu.Open(a.Config.Device.Backend, a.Config.Device.Options())
	if err != nil {
		return d, done, err
	}
	done = func() { dev.Close() }
	d.Train = train.Deps{Device: dev, Models: &starts{base, a.Ledger}}
	if !has("evaluate") {
		return d, done, nil
	}
	encode, err := tokenize.New(a.Config.Tokenize, d.Encoder)
	if err != nil {
		done()
		return d, func() {}, err
	}
	d.Evaluate = evaluate.Deps{
		Models:  &models{base: base, device: dev, ledger: a.Ledger, store: a.Store},
		Encoder: d.Encoder,
		Data:    &conversations{model: a.Config.Model.Name, ledger: a.Ledger, encode: encode, reading: a.Config.Ingest},
	}
	return d, done, nil
}

// Ready reports early what would keep Serve from serving.
func (a *App) Ready() error {
	if a.Attached {
		return fmt.Errorf("%s is in use by %s: stop it first, or say another --dir", a.Config.Dir, a.Holder())
	}
	if names := a.Stages(); !slices.Contains(names, "tokenize") && !slices.Contains(names, "train") && !slices.Contains(names, "evaluate") {
		return nil
	}
	return checkBase(a.Config.Model.Base)
}

// errNoBase tells how to name a base model.
var errNoBase = errors.New("no base model: say --base DIR, or set model.base in the configuration, to a directory with a ChatGLM3 (glmflow model init makes a small one to try)")

// checkBase finds out early whether dir is a model.
func checkBase(dir string) error {
	if dir == "" {
		return errNoBase
	}
	for _, name := range []string{"config.json", tokenizer.FileName} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("base model: %w", err)
		}
	}
	return nil
}
