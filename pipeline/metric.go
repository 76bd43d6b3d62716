package pipeline

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/glmflow/glmflow/pipeline/broker"
)

// metricEvery is the pause between reports without values on the metric stream.
const metricEvery = 500 * time.Millisecond

// A Metric is one report of a job: the body of glmflow.metric.<run>.<stage>. A
// job that is repeated reports its steps again.
type Metric struct {
	Time     time.Time `json:"time"`
	Run      string    `json:"run"`
	Stage    string    `json:"stage"`
	Event    string    `json:"event"`
	Attempt  int       `json:"attempt"`
	Progress Progress  `json:"progress"`
}

// metrics publishes the reports of one job. Those with values make the loss
// curve, so all of them go out; of the others, which move a bar, as many as a
// person can see.
type metrics struct {
	broker *broker.Broker
	info   JobInfo
	now    func() time.Time

	mu   sync.Mutex
	last time.Time
}

func (m *metrics) publish(p Progress) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now().UTC()
	if !m.worth(p, now) {
		return nil
	}
	m.last = now
	body, err := json.Marshal(Metric{now, m.info.Event.Run, m.info.Stage, m.info.Event.ID, m.info.Attempt, p})
	if err != nil {
		return err
	}
	// Not acknowledged: a measurement is not worth waiting for.
	return m.broker.Conn().Publish(broker.MetricSubject(m.info.Event.Run, m.info.Stage), body)
}

func (m *metrics) worth(p Progress, now time.Time) bool {
	finished := p.Total > 0 && p.Done >= p.Total
	return len(p.Values) > 0 || finished || m.last.IsZero() || now.Sub(m.last) >= metricEvery
}
