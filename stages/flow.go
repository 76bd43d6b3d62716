package stages

import (
	"fmt"
	"slices"

	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/window"
	"github.com/glmflow/glmflow/stages/clean"
	"github.com/glmflow/glmflow/stages/evaluate"
	"github.com/glmflow/glmflow/stages/ingest"
	"github.com/glmflow/glmflow/stages/publish"
	"github.com/glmflow/glmflow/stages/tokenize"
	"github.com/glmflow/glmflow/stages/train"
)

// Config is the configuration of all stages.
type Config struct {
	Ingest   ingest.Config
	Clean    clean.Config
	Tokenize tokenize.Config
	Window   window.Config
	Train    train.Config
	Evaluate evaluate.Config
	Publish  publish.Config
}

// Deps are what stages work with. A process needs those of its own stages only.
type Deps struct {
	Encoder  tokenizer.Encoder // tokenize, evaluate
	Catalog  window.Catalog    // window
	Train    train.Deps
	Evaluate evaluate.Deps
	Publish  publish.Deps
}

// A step is one stage of the flow: what it is, and how it is made.
type step struct {
	spec pipeline.Spec
	make func() (pipeline.Stage, error)
}

// flow is glmflow. Read it top to bottom.
func flow(c Config, d Deps) []step {
	return []step{
		{new(ingest.Stage).Spec(), func() (pipeline.Stage, error) { return ingest.New(c.Ingest) }},                   // ingest.request → dialogue.raw
		{new(clean.Stage).Spec(), func() (pipeline.Stage, error) { return clean.New(c.Clean) }},                      // dialogue.raw   → dialogue.clean
		{new(tokenize.Stage).Spec(), func() (pipeline.Stage, error) { return tokenize.New(c.Tokenize, d.Encoder) }},  // dialogue.clean → tokens
		{new(window.Cutter).Spec(), func() (pipeline.Stage, error) { return window.New(c.Window, d.Catalog) }},       // train.request  → train.due, over all fresh tokens
		{new(train.Stage).Spec(), func() (pipeline.Stage, error) { return train.New(c.Train, d.Train) }},             // train.due      → adapter
		{new(evaluate.Stage).Spec(), func() (pipeline.Stage, error) { return evaluate.New(c.Evaluate, d.Evaluate) }}, // adapter, eval.request → score
		{new(publish.Stage).Spec(), func() (pipeline.Stage, error) { return publish.New(c.Publish, d.Publish) }},     // score          → release
	}
}

// Specs describes the whole flow in order, wherever its stages run.
func Specs() []pipeline.Spec {
	var specs []pipeline.Spec
	for _, s := range flow(Config{}, Deps{}) {
		specs = append(specs, s.spec)
	}
	return specs
}

// New makes the stages of the given names, in the order of the flow.
func New(names []string, c Config, d Deps) ([]pipeline.Stage, error) {
	var made []pipeline.Stage
	for _, s := range flow(c, d) {
		if !slices.Contains(names, s.spec.Name) {
			continue
		}
		stage, err := s.make()
		if err != nil {
			return nil, fmt.Errorf("stage %s: %w", s.spec.Name, err)
		}
		made = append(made, stage)
	}
	if len(made) != len(names) {
		return nil, fmt.Errorf("stages %v: some of them are not in the flow", names)
	}
	return made, nil
}
