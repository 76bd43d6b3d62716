package train

import (
	"time"

	"github.com/glmflow/glmflow/gpu/finetune"
	"github.com/glmflow/glmflow/pipeline"
)

// progress tells the pipeline how a training goes. Rates are measured by the
// job's clock and go nowhere else.
type progress struct {
	job  *pipeline.Job
	last pipeline.Progress
	at   time.Time // of the last step
}

func newProgress(job *pipeline.Job) *progress {
	return &progress{job: job, at: job.Now(), last: pipeline.Progress{Unit: "steps"}}
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
	now := p.job.Now()
	if d := now.Sub(p.at).Seconds(); d > 0 {
		values["tokens_per_second"] = float64(i.Tokens) / d
	}
	p.at = now
	p.last = pipeline.Progress{Done: int64(i.Step), Total: int64(i.Total), Unit: "steps", Values: values}
	p.job.Report(p.last)
}

// alive renews the lease within a step or a validation: it repeats where the
// training stands, without measurements.
func (p *progress) alive() {
	p.last.Values = nil
	p.job.Report(p.last)
}
