package e2e

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/glmflow/glmflow/ops/config"
	"github.com/glmflow/glmflow/pipeline/broker"
)

// TestSpread does the same work in several ways. How it was cut into datasets,
// how many worked on it, and how often they began anew leaves no trace in the
// window, the adapter or the score.
func TestSpread(t *testing.T) {
	t.Parallel()
	model := base(t)
	logs, _ := conversations(t, 4, 70)
	apart := cmpopts.IgnoreFields(result{}, "Ingested") // shards differ on purpose
	want := undisturbed(t, settings(t, model), logs)

	for name, change := range map[string]func(*config.Config){
		"many shards":   func(c *config.Config) { c.Ingest.ShardRows = 3 },
		"few shards":    func(c *config.Config) { c.Ingest.ShardRows = 50 },
		"two threads":   func(c *config.Config) { c.Device.Workers = 2 },
		"three threads": func(c *config.Config) { c.Device.Workers = 3 },
		"small batches": func(c *config.Config) { c.Evaluate.BatchTokens = 300 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := settings(t, model)
			change(&c)
			if diff := cmp.Diff(want, undisturbed(t, c, logs), apart); diff != "" {
				t.Errorf("the result differs (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("two workers a stage", func(t *testing.T) {
		t.Parallel()
		c := settings(t, model)
		f := join(t, c, true)
		defer f.stop()
		url, err := broker.Find(c.Dir + "/broker")
		if err != nil {
			t.Fatal(err)
		}
		other := c
		other.NATS, other.Artifacts = url, c.Dir+"/artifacts"
		second := join(t, other, true)
		defer second.stop()
		if diff := cmp.Diff(want, f.result(f.ingest(logs), f.train("train")), apart); diff != "" {
			t.Errorf("the result differs (-want +got):\n%s", diff)
		}
	})
	t.Run("file by file", func(t *testing.T) {
		t.Parallel()
		f := join(t, settings(t, model), true)
		defer f.stop()
		// Everything in one order, and then the parts again under orders of their
		// own: their conversations are exact copies by then.
		ingested := f.ingest(logs)
		f.ingest(logs + "/phone")
		if diff := cmp.Diff(want, f.result(ingested, f.train("train")), apart); diff != "" {
			t.Errorf("the result differs (-want +got):\n%s", diff)
		}
	})
	t.Run("drained halfway", func(t *testing.T) {
		t.Parallel()
		c := settings(t, model)
		p := launch(t, part{Config: c})
		f := join(t, c, false)
		run := f.order(logs)
		f.stop()
		p.stop()
		f = join(t, c, true)
		defer f.stop()
		if diff := cmp.Diff(want, f.result(f.settled(run), f.train("train"))); diff != "" {
			t.Errorf("the result differs (-want +got):\n%s", diff)
		}
	})
}
