package demo

import (
	"fmt"
	"sync"

	"github.com/glmflow/glmflow/ops/lang"
	"github.com/glmflow/glmflow/ops/term"
	"github.com/glmflow/glmflow/pipeline"
)

// A display shows the stages at work on one line.
type display struct {
	mu       sync.Mutex
	progress *term.Progress
	p        lang.Printer
	last     map[string]pipeline.Progress // by stage
	loss     string                       // the newest: a sign of life between two steps has none
}

func newDisplay(progress *term.Progress, p lang.Printer) *display {
	return &display{progress: progress, p: p, last: map[string]pipeline.Progress{}}
}

// observer hears of the jobs. The stages before the window are too quick for a
// line each; they share the one that flow ends.
func (d *display) observer() pipeline.Observer {
	slow := map[string]bool{"train": true, "evaluate": true, "publish": true}
	return pipeline.Observer{
		JobProgress: func(job pipeline.JobInfo, p pipeline.Progress) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.last[job.Stage] = p
			if loss, ok := p.Values["loss"]; ok {
				d.loss = fmt.Sprintf("loss %.3f", loss)
			}
			detail := p.Message
			if p.Unit == "steps" {
				detail = d.loss
			}
			d.progress.Show(d.p.Sprintf(job.Stage), p.Done, p.Total, detail)
		},
		JobFinished: func(job pipeline.JobInfo, o pipeline.Outcome) {
			if o.Err != nil || !slow[job.Stage] {
				return
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			d.progress.Done(d.p.Sprintf(job.Stage), d.summary(job.Stage))
		},
	}
}

// say names what begins.
func (d *display) say(stage string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.progress.Show(d.p.Sprintf(stage), 0, 0, "")
}

// summary says in a few words what a stage did.
func (d *display) summary(stage string) string {
	switch p := d.last[stage]; p.Unit {
	case "steps":
		return d.p.Sprintf("%d steps", p.Done)
	case "answers":
		return d.p.Sprintf("%d answers compared", p.Total)
	}
	return d.p.Sprintf("done")
}
