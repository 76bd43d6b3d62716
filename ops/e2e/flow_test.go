package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/glmflow/glmflow/gpu"
	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/chatglm/chat"
	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/finetune"
	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/config"
	"github.com/glmflow/glmflow/ops/demo/corpus"
	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/schemas"
)

// patience bounds every wait of these tests; it is reached only by what hangs.
const patience = 3 * time.Minute

// conversations writes n generated conversations, as several systems export
// them, and returns the directory and the plan of what was planted.
func conversations(t *testing.T, seed uint64, n int) (dir string, plan corpus.Plan) {
	t.Helper()
	dir = t.TempDir()
	plan, err := corpus.Write(dir, corpus.Generate(corpus.Options{Seed: seed, Conversations: n}))
	if err != nil {
		t.Fatal(err)
	}
	return dir, plan
}

// base makes a ChatGLM3 of two layers that had a little small talk, and whose
// tokenizer knows some words of the generated conversations.
func base(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	vocabulary, err := tokenizer.Train(func(yield func(string) bool) {
		for _, c := range corpus.Generate(corpus.Options{Seed: 7, Conversations: 60}) {
			for _, m := range c.Messages {
				if !yield(m.Content) {
					return
				}
			}
		}
	}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, tokenizer.FileName), vocabulary, 0o644); err != nil {
		t.Fatal(err)
	}
	enc, err := tokenizer.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	var talks []finetune.Example
	for talk := range corpus.General(1) {
		var messages []chat.Message
		for _, m := range talk {
			messages = append(messages, chat.Message{Role: m.Role, Content: m.Content})
		}
		ids, labels, _, err := chat.Encode(enc, messages, "", chat.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if talks = append(talks, finetune.Example{ID: fmt.Sprint(len(talks)), IDs: ids, Labels: labels}); len(talks) == 400 {
			break
		}
	}
	shape, _ := chatglm.Shape("tiny")
	shape.HiddenSize, shape.KVChannels, shape.FFNHiddenSize = 64, 16, 128
	shape.PaddedVocabSize = (tokenizer.Size(enc.Pieces()) + 63) / 64 * 64
	dev, err := gpu.Open("auto", device.Options{Precision: "fp32"})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	model, err := chatglm.New(shape, dev, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	o := finetune.DefaultOptions()
	o.Method, o.LearningRate, o.BatchTokens, o.MaxSteps = "full", 1e-2, 512, 30
	if _, err := finetune.Run(t.Context(), model, talks, nil, o, finetune.Hooks{}); err != nil {
		t.Fatal(err)
	}
	if err := model.Save(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// settings are those of a flow in a directory of its own that learns fast.
func settings(t *testing.T, base string) config.Config {
	t.Helper()
	c := config.Default()
	c.Dir = t.TempDir()
	c.Model.Base = base
	c.Device.Precision = "fp32"
	c.Device.Workers = 1
	c.Console.Listen = "off"
	c.Ingest.ShardRows = 8
	c.Tokenize.MaxLength = 256
	c.Window.Test = 0.25
	c.Train.LearningRate = 1e-2
	c.Train.LoRA.Rank = 16
	c.Train.LoRA.Dropout = 0.05
	c.Train.Patience = 0
	c.Train.Epochs = 1
	c.Train.BatchTokens = 512
	c.Train.EvalEvery = 5
	c.Train.SaveEvery = 4
	c.Train.LoRA.Targets = []string{"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"}
	c.Evaluate.Generate = 2
	c.Evaluate.MaxNew = 8
	c.Evaluate.Resamples = 200
	return c
}

// A flow is this process's part in one.
type flow struct {
	*app.App
	t    *testing.T
	stop func() // stop serving and leave; may be called again
}

// join opens the flow that c names; serve says whether to work in it as well.
func join(t *testing.T, c config.Config, serve bool) *flow {
	t.Helper()
	a, err := app.Open(t.Context(), c, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	if serve {
		go func() { served <- a.Serve(ctx, pipeline.Observer{}) }()
	} else {
		served <- nil
	}
	f := &flow{App: a, t: t}
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		if err := a.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	t.Cleanup(f.stop)
	return f
}

// ingest puts files into the flow and waits until every stage is done with them.
func (f *flow) ingest(paths ...string) ledger.Run {
	f.t.Helper()
	return f.settled(f.order(paths...))
}

// order puts files into the flow and returns the run.
func (f *flow) order(paths ...string) string {
	f.t.Helper()
	run, _, _, err := f.Ingest(f.t.Context(), paths, "", "", "e2e")
	if err != nil {
		f.t.Fatal(err)
	}
	return run
}

// train retrains on everything that is fresh.
func (f *flow) train(run string) ledger.Run {
	f.t.Helper()
	if err := f.Train(f.t.Context(), run, "e2e", schemas.TrainOrder{Reason: "test"}); err != nil {
		f.t.Fatal(err)
	}
	return f.settled(run)
}

// settled waits for a run to end well.
func (f *flow) settled(run string) ledger.Run {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	r, err := f.Ledger.Wait(ctx, run, ledger.Run.Settled)
	if err != nil {
		r, _ = f.Ledger.Run(run)
		f.t.Fatalf("run %s: %v; it stands at %+v", run, err, r.Stages)
	}
	if r.State != ledger.Finished {
		f.t.Fatalf("run %s ended %s: %+v", run, r.State, r.Parked)
	}
	return r
}

// made lists every dataset that a run announced: event id, kind, digest and rows.
// It is sorted, and a dataset that was announced twice is in it twice.
func (f *flow) made(run string) []string {
	f.t.Helper()
	var list []string
	for ev, err := range f.Ledger.Events(f.t.Context(), run) {
		if err != nil {
			f.t.Fatal(err)
		}
		if !ev.Type.IsData() {
			continue
		}
		var d schemas.Dataset
		if err := ev.Decode(&d); err != nil {
			f.t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%s %s %s %d", d.Kind, ev.ID, d.Digest, d.Rows))
	}
	slices.Sort(list)
	return list
}

// output reads the one row of a kind that a run made, and returns the dataset's
// digest too.
func output[T any](f *flow, run ledger.Run, kind schemas.Kind) (row T, digest artifact.Digest) {
	f.t.Helper()
	found := 0
	for _, o := range run.Outputs {
		if o.Dataset.Kind != kind {
			continue
		}
		digest = artifact.Digest(o.Dataset.Digest)
		for r, err := range pipeline.RowsOf[T](f.t.Context(), f.Store, o.Dataset) {
			if err != nil {
				f.t.Fatal(err)
			}
			row = r
			found++
		}
	}
	if found != 1 {
		f.t.Fatalf("run %s made %d rows of %s, want 1 (notes: %v)", run.ID, found, kind, run.Notes)
	}
	return row, digest
}
