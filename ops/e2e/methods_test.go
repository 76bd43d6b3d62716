package e2e

import (
	"testing"

	"github.com/glmflow/glmflow/gpu/finetune"
	"github.com/glmflow/glmflow/schemas"
)

// TestEveryMethodGoesTheWholeWay: a prefix and a partly trained model are trained,
// judged, signed, put into production and continued from there, as LoRA is.
func TestEveryMethodGoesTheWholeWay(t *testing.T) {
	t.Parallel()
	for method, rate := range map[string]float64{finetune.PTuning: 0.1, finetune.Freeze: 1e-2} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			c := settings(t, base(t))
			c.Train.Method, c.Train.LearningRate, c.Train.Epochs = method, rate, 4
			c.Train.Prefix.Tokens, c.Train.Part.Last = 16, 1
			f := join(t, c, true)
			first, _ := conversations(t, 1, 80)
			f.ingest(first)
			run := f.train("train-1")
			adapter, _ := output[schemas.AdapterRow](f, run, schemas.Adapter)
			score, _ := output[schemas.ScoreRow](f, run, schemas.Score)
			release, _ := output[schemas.ReleaseRow](f, run, schemas.Release)
			if adapter.Method != method || !score.Passed || !release.Promoted {
				t.Fatalf("method %s, passed %v, promoted %v, rules %+v", adapter.Method, score.Passed, release.Promoted, score.Rules)
			}
			f.verify(release, adapter)

			second, _ := conversations(t, 2, 60)
			f.ingest(second)
			next := f.train("train-2")
			successor, _ := output[schemas.AdapterRow](f, next, schemas.Adapter)
			if successor.Parent != adapter.Files {
				t.Errorf("the second training continues %q, want production's %s", successor.Parent, adapter.Files)
			}
			if score, _ := output[schemas.ScoreRow](f, next, schemas.Score); score.Baseline != "assistant:1" {
				t.Errorf("the successor was compared with %q, want production's", score.Baseline)
			}
		})
	}
}
