package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/glmflow/glmflow/gpu"
	"github.com/glmflow/glmflow/gpu/finetune"
	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/config"
	"github.com/glmflow/glmflow/ops/demo/corpus"
	"github.com/glmflow/glmflow/ops/lang"
	"github.com/glmflow/glmflow/ops/term"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/schemas"
)

// Options say what to demonstrate and where to show it.
type Options struct {
	Config  config.Config // Dir is where everything goes: the demo keeps to the folder demo in it
	Logs    string        // file or directory of conversations; "" generates some
	Mapping string        // YAML text for a layout that is not recognised
	Seed    uint64        // of the generated conversations
	Screen  *term.Screen
	Printer lang.Printer
	Program string // what to call glmflow by in the report
	Log     *slog.Logger
	Now     func() time.Time
}

// Run does the demo and returns its report.
func Run(ctx context.Context, o Options) (Report, error) {
	began := o.Now()
	if err := checkLogs(o); err != nil {
		return Report{}, err
	}
	show := newDisplay(term.NewProgress(o.Screen, o.Now), o.Printer)
	defer show.progress.Clear()
	root := o.Config.Dir
	dir, err := workplace(root, order{Logs: o.Logs, Mapping: o.Mapping, Seed: o.Seed})
	if err != nil {
		return Report{}, err
	}
	r := Report{Dir: dir, Logs: o.Logs, Program: o.Program}
	var plan *corpus.Plan
	if o.Logs == "" {
		r.Logs = filepath.Join(dir, "logs")
		p, err := corpus.Write(r.Logs, corpus.Generate(corpus.Options{Seed: o.Seed}))
		if err != nil {
			return Report{}, err
		}
		plan = &p
		show.progress.Done(o.Printer.Sprintf("logs"), o.Printer.Sprintf("%d conversations of an invented shop", len(p.Conversations)))
	}
	if r.Base, r.Device, err = base(ctx, o, o.Config.Cache, show); err != nil {
		return Report{}, err
	}
	c := settings(o.Config, dir, r.Base)
	a, err := app.Open(ctx, c, o.Log, o.Now)
	if err != nil {
		return Report{}, err
	}
	group, serving := errgroup.WithContext(ctx)
	serving, stop := context.WithCancel(serving)
	group.Go(func() error { return a.Serve(serving, show.observer()) })
	group.Go(func() error {
		defer stop()
		return r.flow(serving, a, o, show, plan)
	})
	err = group.Wait()
	if err := errors.Join(err, a.Close()); err != nil {
		return Report{}, err
	}
	r.Took = o.Now().Sub(began)
	return r, os.WriteFile(filepath.Join(dir, finishedFile), nil, 0o644)
}

// settings are the demo's: a model so small learns faster and from less than a
// real one.
func settings(c config.Config, dir, base string) config.Config {
	c.Dir, c.Model.Base = dir, base
	c.Tokenize.MaxLength = 512
	c.Train.LearningRate = 3e-3
	c.Train.Epochs = 8
	c.Train.BatchTokens = 2048
	c.Train.WarmupSteps = 5
	c.Train.EvalEvery = 40
	c.Train.SaveEvery = 40
	c.Train.LoRA.Rank = 16
	c.Train.LoRA.Alpha = 32
	c.Train.LoRA.Targets = []string{"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"}
	c.Train.LoRA.Dropout = 0.05
	return c
}

// base finds or trains the base model.
func base(ctx context.Context, o Options, cache string, show *display) (dir, kind string, err error) {
	dev, err := gpu.Open(o.Config.Device.Backend, o.Config.Device.Options())
	if err != nil {
		return "", "", err
	}
	defer dev.Close()
	name := o.Printer.Sprintf("base model")
	dir, trained, err := Base(ctx, cache, dev, func(i finetune.StepInfo) {
		show.progress.Show(name, int64(i.Step), int64(i.Total), fmt.Sprintf("loss %.3f", i.Loss))
	}, func() {
		show.progress.Note(name, o.Printer.Sprintf("another demo trains it; waiting"))
	})
	if err != nil {
		return "", "", err
	}
	if trained {
		show.progress.Done(name, o.Printer.Sprintf("trained on small talk, kept for the next time"))
	} else {
		show.progress.Done(name, o.Printer.Sprintf("found from an earlier time"))
	}
	return dir, dev.Info().Name, nil
}

// flow ingests and retrains, and fills in the report.
func (r *Report) flow(ctx context.Context, a *app.App, o Options, show *display, plan *corpus.Plan) error {
	show.say("ingest")
	run, order, _, err := a.Ingest(ctx, []string{r.Logs}, "", o.Mapping, "demo")
	if err != nil {
		return err
	}
	ingested, err := a.Ledger.Wait(ctx, run, ledger.Run.Settled)
	if err != nil {
		return err
	}
	if err := trouble(ingested); err != nil {
		return err
	}
	show.progress.Done(o.Printer.Sprintf("clean"), o.Printer.Sprintf("%d conversations in, %d ready to learn from",
		ingested.Stage("ingest").RowsOut, ingested.Stage("tokenize").RowsOut))
	trainRun := "train-" + run
	err = a.Train(ctx, trainRun, "demo", schemas.TrainOrder{Reason: "demo", Runs: []string{run}})
	if err != nil {
		return err
	}
	trained, err := a.Ledger.Wait(ctx, trainRun, ledger.Run.Settled)
	if err != nil {
		return err
	}
	if err := trouble(trained); err != nil {
		return err
	}
	return r.collect(ctx, a, len(order.Sources), ingested, trained, plan)
}

// trouble turns parked jobs into an error that names the first.
func trouble(r ledger.Run) error {
	if len(r.Parked) == 0 {
		return nil
	}
	return fmt.Errorf("stage %s gave up: %s", r.Parked[0].Stage, r.Parked[0].Reason)
}

// An order is what a demo was asked for.
type order struct {
	Logs, Mapping string
	Seed          uint64
}

// Names of files in the demo's folder.
const (
	orderFile    = "demo.json"
	finishedFile = "finished"
)

// workplace is the demo's folder in dir: that of an interrupted demo of the same
// order, or a new one in place of any other.
func workplace(dir string, o order) (string, error) {
	dir = filepath.Join(dir, "demo")
	want, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	have, err := os.ReadFile(filepath.Join(dir, orderFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if _, left := os.Stat(dir); left == nil && err != nil {
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			return "", fmt.Errorf("%s is not a demo's folder: say another --dir", dir)
		}
	}
	_, unfinished := os.Stat(filepath.Join(dir, finishedFile))
	if string(have) == string(want) && unfinished != nil {
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, orderFile), want, 0o644)
}
