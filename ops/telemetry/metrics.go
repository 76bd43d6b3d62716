package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/glmflow/glmflow/pipeline"
)

// Config is what metrics are made of.
type Config struct {
	Version string                                 // of the program
	Queues  func(context.Context) ([]Queue, error) // asked at every scrape
	Log     *slog.Logger                           // hears of failed scrapes
}

// Metrics counts and measures what a runner's jobs do. It may be used from
// several goroutines.
type Metrics struct {
	log      *slog.Logger
	registry *prometheus.Registry

	started  *prometheus.CounterVec   // stage
	finished *prometheus.CounterVec   // stage, result
	running  *prometheus.GaugeVec     // stage
	seconds  *prometheus.HistogramVec // stage
	rowsIn   *prometheus.CounterVec   // stage
	rowsOut  *prometheus.CounterVec   // stage, kind
	progress map[string]*prometheus.GaugeVec
}

// trainStage is the one whose measurements have gauges.
const trainStage = "train"

// NewMetrics returns metrics that nothing has happened to.
func NewMetrics(c Config) (*Metrics, error) {
	if c.Queues == nil || c.Log == nil {
		return nil, errors.New("telemetry: Config needs Queues and a Log")
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		log:      c.Log,
		registry: prometheus.NewRegistry(),
		started:  counter("glmflow_jobs_started_total", "Attempts at jobs that began.", "stage"),
		finished: counter("glmflow_jobs_finished_total", "Attempts at jobs that ended, by what became of them.", "stage", "result"),
		running:  gauge("glmflow_jobs_running", "Jobs that this process works on.", "stage"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "glmflow_job_duration_seconds", Help: "How long attempts at jobs took.",
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 12), // 10 ms … 12 hours
		}, []string{"stage"}),
		rowsIn:  counter("glmflow_rows_in_total", "Rows of the datasets of jobs that were done.", "stage"),
		rowsOut: counter("glmflow_rows_out_total", "Rows that jobs handed over, by kind.", "stage", "kind"),
		progress: map[string]*prometheus.GaugeVec{ // by name in pipeline.Progress.Values
			"loss":              gauge("glmflow_train_loss", "Training loss of the newest step, nats per target."),
			"val_loss":          gauge("glmflow_train_val_loss", "Newest validation loss, nats per target."),
			"lr":                gauge("glmflow_train_learning_rate", "Learning rate of the newest step."),
			"grad_norm":         gauge("glmflow_train_gradient_norm", "Gradient norm of the newest step, before clipping."),
			"tokens_per_second": gauge("glmflow_train_tokens_per_second", "Speed of the newest step."),
		},
	}
	build := gauge("glmflow_build_info", "Always 1; the labels say what runs.", "version", "goversion")
	build.WithLabelValues(c.Version, runtime.Version()).Set(1)
	all := []prometheus.Collector{
		build, m.started, m.finished, m.running, m.seconds, m.rowsIn, m.rowsOut, newQueues(c.Queues),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}
	for _, g := range m.progress {
		all = append(all, g)
	}
	for _, collector := range all {
		if err := m.registry.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Observer feeds the metrics.
func (m *Metrics) Observer() pipeline.Observer {
	return pipeline.Observer{
		JobStarted: func(j pipeline.JobInfo) {
			m.started.WithLabelValues(j.Stage).Inc()
			m.running.WithLabelValues(j.Stage).Inc()
		},
		JobProgress: func(j pipeline.JobInfo, p pipeline.Progress) {
			if j.Stage != trainStage {
				return
			}
			for name, v := range p.Values {
				if g := m.progress[name]; g != nil {
					g.WithLabelValues().Set(v)
				}
			}
		},
		JobFinished: func(j pipeline.JobInfo, out pipeline.Outcome) {
			m.finished.WithLabelValues(j.Stage, string(out.Result)).Inc()
			m.running.WithLabelValues(j.Stage).Dec()
			m.seconds.WithLabelValues(j.Stage).Observe(out.Duration.Seconds())
			if out.Result == pipeline.Done {
				m.rowsIn.WithLabelValues(j.Stage).Add(float64(out.RowsIn))
			}
			for kind, rows := range out.RowsOut {
				m.rowsOut.WithLabelValues(j.Stage, string(kind)).Add(float64(rows))
			}
			if j.Stage == trainStage {
				// A training that is over has no loss: a flat line would look like one.
				for _, g := range m.progress {
					g.Reset()
				}
			}
		},
	}
}
