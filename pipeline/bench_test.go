package pipeline_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/pipeline/pipelinetest"
)

// A bench is a broker, a store and a record of what the runner did.
type bench struct {
	*testing.T
	broker *broker.Broker
	store  *artifact.Store

	mu       sync.Mutex
	started  []pipeline.JobInfo
	outcomes []pipeline.Outcome
	reports  []pipeline.Progress
}

func newBench(t *testing.T) *bench {
	t.Parallel()
	return &bench{T: t, broker: pipelinetest.Broker(t), store: pipelinetest.Store(t)}
}

func (b *bench) config(stages ...pipeline.Stage) pipeline.RunnerConfig {
	return pipeline.RunnerConfig{
		Broker: b.broker, Store: b.store, Stages: stages,
		Observer: pipeline.Observers(pipeline.Observer{}, pipeline.Observer{
			JobStarted: func(j pipeline.JobInfo) { b.mu.Lock(); defer b.mu.Unlock(); b.started = append(b.started, j) },
			JobProgress: func(_ pipeline.JobInfo, p pipeline.Progress) {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.reports = append(b.reports, p)
			},
			JobFinished: func(_ pipeline.JobInfo, o pipeline.Outcome) {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.outcomes = append(b.outcomes, o)
			},
		}),
	}
}

func (b *bench) work(stages ...pipeline.Stage) (stop func() error) {
	b.Helper()
	return pipelinetest.Work(b.T, b.config(stages...))
}

func (b *bench) send(inputs ...pipelinetest.Input) {
	b.Helper()
	for _, in := range inputs {
		if _, err := b.broker.Publish(b.Context(), in.Event(b.T, b.store)); err != nil {
			b.Fatal(err)
		}
	}
}

func (b *bench) results() (all []pipeline.Result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range b.outcomes {
		all = append(all, o.Result)
	}
	return all
}

// settled waits for n outcomes.
func (b *bench) settled(n int) []pipeline.Result {
	b.Helper()
	pipelinetest.Eventually(b.T, fmt.Sprintf("%d outcomes", n), func() bool { return len(b.results()) >= n })
	return b.results()
}

// idle checks that stage has nothing left to do, not even to acknowledge.
func (b *bench) idle(stage string) {
	b.Helper()
	pipelinetest.Eventually(b.T, "an idle consumer of "+stage, func() bool {
		c, err := b.broker.JetStream().Consumer(b.Context(), broker.Stream, stage)
		if err != nil {
			b.Fatal(err)
		}
		info, err := c.Info(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		return info.NumPending == 0 && info.NumAckPending == 0
	})
}
