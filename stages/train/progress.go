package train

import (
	"github.com/glmflow/glmflow/gpu/finetune"
	"github.com/glmflow/glmflow/pipeline"
)

// progress tells the pipeline how a training goes.
type progress struct {
	job  *pipeline.Job
	last pipeline.Progress
}

func newProgress(job *pipeline.Job) *progress {
	return &progress{job: job, last: pipeline.Progress{Unit: "steps"}}
}

// step reports a finished step.
func (p *progress) step(i finetune.StepInfo) {
	values := map[string]float64{"lr": i.LR}
	if !i.Skipped {
		values["loss"], values["grad_norm"] = i.Loss, i.GradNorm
	}
	if i.ValLoss != nil {
		values["val_loss"] = *i.ValLoss
	}
	if i.Took > 0 {
		values["tokens_per_second"] = float64(i.Tokens) / i.Took.Seconds()
	}
	p.last = pipeline.Progress{Done: int64(i.Step), Total: int64(i.Total), Unit: "steps", Values: values}
	p.job.Report(p.last)
}

// heartbeat renews the lease within a step or a validation: it repeats where the
// training stands, without measurements.
func (p *progress) heartbeat() {
	p.last.Values = nil
	p.job.Report(p.last)
}
