package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A Queue is the work before one stage, wherever the stage is served.
type Queue struct {
	Stage   string
	Waiting uint64 // jobs nobody has taken
	Working uint64 // jobs taken and not finished
	Retried uint64 // jobs delivered more than once, not finished
	Parked  int64  // dead letters
}

// A scrape waits this long for the queues.
const queuesTimeout = 5 * time.Second

// queues is a collector that asks when somebody scrapes.
type queues struct {
	ask                               func(context.Context) ([]Queue, error)
	waiting, working, retried, parked *prometheus.Desc
}

func newQueues(ask func(context.Context) ([]Queue, error)) *queues {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"stage"}, nil)
	}
	return &queues{
		ask:     ask,
		waiting: desc("glmflow_queue_waiting", "Jobs that nobody has taken."),
		working: desc("glmflow_queue_working", "Jobs that were taken, by any process, and are not finished."),
		retried: desc("glmflow_queue_retried", "Jobs that were delivered more than once and are not finished."),
		parked:  desc("glmflow_queue_parked", "Dead letters."),
	}
}

// Describe implements [prometheus.Collector].
func (q *queues) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{q.waiting, q.working, q.retried, q.parked} {
		out <- d
	}
}

// Collect implements [prometheus.Collector]. If the queues cannot be seen, they
// are missing from the scrape and the rest of it stands.
func (q *queues) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), queuesTimeout)
	defer cancel()
	all, err := q.ask(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(q.waiting, err)
		return
	}
	for _, s := range all {
		for _, g := range []struct {
			desc  *prometheus.Desc
			value float64
		}{{q.waiting, float64(s.Waiting)}, {q.working, float64(s.Working)}, {q.retried, float64(s.Retried)}, {q.parked, float64(s.Parked)}} {
			out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.value, s.Stage)
		}
	}
}
