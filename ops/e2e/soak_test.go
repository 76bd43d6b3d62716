package e2e

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/ops/config"
	"github.com/glmflow/glmflow/schemas"
)

// soakVariable is how many directories [TestSoak] uses up.
const soakVariable = "GLMFLOW_E2E_SOAK"

// TestSoak kills four processes of a directory at whatever they happen to do, the
// fourth perhaps before it is up; a fifth finishes. (One more death in the same
// job, and it would rightly be given up.)
func TestSoak(t *testing.T) {
	rounds, err := strconv.Atoi(os.Getenv(soakVariable))
	if err != nil {
		t.Skipf("a long test: set %s to the number of rounds, such as 20", soakVariable)
	}
	model := base(t)
	logs, _ := conversations(t, 8, 120)
	config := func() config.Config {
		c := settings(t, model)
		c.Ingest.ShardRows = 3
		c.Train.Epochs = 4
		return c
	}
	want := undisturbed(t, config(), logs)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range rounds {
		c, run := config(), ""
		for range 3 {
			p := launch(t, part{Config: c})
			f := join(t, c, false)
			run = f.order(logs) // again and again: it counts once
			if random.IntN(2) > 0 {
				f.settled(run)
				if err := f.Train(t.Context(), "train", "e2e", schemas.TrainOrder{Reason: "test"}); err != nil {
					t.Fatal(err)
				}
			}
			f.stop()
			<-time.After(time.Duration(random.IntN(800)) * time.Millisecond)
			p.kill()
		}
		p := start(t, part{Config: c})
		<-time.After(time.Duration(random.IntN(200)) * time.Millisecond)
		p.kill()
		f := join(t, c, true)
		ingested := f.settled(run)
		if err := f.Train(t.Context(), "train", "e2e", schemas.TrainOrder{Reason: "test"}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, f.result(ingested, f.settled("train"))); diff != "" {
			t.Errorf("round %d: the result differs (-want +got):\n%s", round, diff)
		}
		f.stop()
	}
}
