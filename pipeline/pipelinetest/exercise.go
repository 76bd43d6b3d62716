package pipelinetest

import (
	"testing"

	"github.com/glmflow/glmflow/pipeline"
)

// A Fixture is what [Exercise] feeds a stage with.
type Fixture struct {
	Inputs []Input // jobs that succeed; at least one
	Poison *Input  // a job that must be parked, if there is such a thing
}

// Exercise runs the conformance suite on the stages that stage makes. Each call
// must make an equal one that shares nothing with the others, as another process
// would.
func Exercise(t *testing.T, stage func() pipeline.Stage, fixture Fixture) {
	t.Helper()
	if len(fixture.Inputs) == 0 {
		t.Fatal("the fixture has no inputs")
	}
	t.Run("redelivery gives equal bytes", func(t *testing.T) { redelivery(t, stage, fixture) })
}

func redelivery(t *testing.T, stage func() pipeline.Stage, fixture Fixture) {
	for _, in := range fixture.Inputs {
		a, b := Run(t, stage(), in), Run(t, stage(), in)
		if a.Err != nil || b.Err != nil {
			t.Fatalf("%s: %v; again: %v", in.Kind, a.Err, b.Err)
		}
	}
}
