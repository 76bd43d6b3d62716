package stages

import (
	"testing"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/window"
	"github.com/glmflow/glmflow/stages/clean"
	"github.com/glmflow/glmflow/stages/evaluate"
	"github.com/glmflow/glmflow/stages/ingest"
	"github.com/glmflow/glmflow/stages/publish"
	"github.com/glmflow/glmflow/stages/tokenize"
	"github.com/glmflow/glmflow/stages/train"
)

// TestOutputsMeetInputs: the stages fit together, in this order.
func TestOutputsMeetInputs(t *testing.T) {
	if _, err := pipeline.NewFlow(new(ingest.Stage), new(clean.Stage), new(tokenize.Stage), new(window.Cutter),
		new(train.Stage), new(evaluate.Stage), new(publish.Stage)); err != nil {
		t.Error(err)
	}
}

func TestNewRefusesUnknownStages(t *testing.T) {
	if _, err := New([]string{"ingest", "sell"}, Config{Ingest: ingest.DefaultConfig()}, Deps{}); err == nil {
		t.Error("a stage that does not exist was made")
	}
}
