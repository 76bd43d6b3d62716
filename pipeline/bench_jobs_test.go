package pipeline_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/pipelinetest"
	"github.com/glmflow/glmflow/schemas"
)

// BenchmarkJob measures what the runner adds to a job: everything on the disk,
// each job with one small dataset in hand.
func BenchmarkJob(b *testing.B) {
	broker := pipelinetest.Broker(b)
	store, err := artifact.Open(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	for i := range b.N {
		if _, err := broker.Publish(b.Context(), due(fmt.Sprint(i)).Event(b, store)); err != nil {
			b.Fatal(err)
		}
	}
	var done atomic.Int64
	b.ResetTimer()
	stop := pipelinetest.Work(b, pipeline.RunnerConfig{
		Broker: broker, Store: store,
		Stages: []pipeline.Stage{onDue(pipeline.Spec{}, func(ctx context.Context, job *pipeline.Job) error {
			return pipeline.Emit(job, schemas.Adapter, schemas.AdapterRow{Name: job.Event().ID})
		})},
		Observer: pipeline.Observer{JobFinished: func(pipeline.JobInfo, pipeline.Outcome) { done.Add(1) }},
	})
	pipelinetest.Eventually(b, "all jobs", func() bool { return done.Load() == int64(b.N) })
	if err := stop(); err != nil {
		b.Fatal(err)
	}
}
