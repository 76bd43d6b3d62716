package trigger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/schemas"
)

// ErrNotFound reports that there is no schedule of that name.
var ErrNotFound = errors.New("no such schedule")

// A Schedule orders a retraining whenever its clock says so.
type Schedule struct {
	Name string `json:"name"` // "nightly": letters, digits, - and _, at most 64
	Clock
	Order schemas.TrainOrder `json:"order"` // an empty Reason is filled in when it fires
	Actor string             `json:"actor"` // who set it
	Set   time.Time          `json:"set"`   // when; filled in by List
}

// Schedules keeps the schedules in the broker.
type Schedules struct {
	broker *broker.Broker
}

// NewSchedules returns the schedules of b.
func NewSchedules(b *broker.Broker) *Schedules { return &Schedules{b} }

// Set stores s in place of an earlier schedule of the same name. From then on
// the broker fires it. Setting the same schedule on several machines is setting
// it once.
func (s *Schedules) Set(ctx context.Context, schedule Schedule) error {
	if schedule.Name == "" || broker.Token(schedule.Name) != schedule.Name {
		return fmt.Errorf("schedule name %q: use letters, digits, - and _, at most 64", schedule.Name)
	}
	pattern, err := schedule.Pattern()
	if err != nil {
		return err
	}
	msg := nats.NewMsg(broker.ScheduleSubject(schedule.Name))
	if msg.Data, err = json.Marshal(schedule); err != nil {
		return err
	}
	msg.Header.Set(jetstream.ScheduleHeader, pattern)
	msg.Header.Set(jetstream.ScheduleTargetHeader, broker.FireSubject(schedule.Name))
	if schedule.Zone != "" {
		msg.Header.Set(jetstream.ScheduleTimeZoneHeader, schedule.Zone)
	}
	if _, err := s.broker.JetStream().PublishMsg(ctx, msg); err != nil {
		return fmt.Errorf("set schedule %s: %w", schedule.Name, err)
	}
	return nil
}

// List returns all schedules by name.
func (s *Schedules) List(ctx context.Context) ([]Schedule, error) {
	stream, err := s.stream(ctx)
	if err != nil {
		return nil, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(broker.AllSchedules))
	if err != nil {
		return nil, fmt.Errorf("list schedules: %w", err)
	}
	var schedules []Schedule
	for _, subject := range slices.Sorted(maps.Keys(info.State.Subjects)) {
		schedule, err := read(ctx, stream, subject[strings.LastIndexByte(subject, '.')+1:])
		if errors.Is(err, ErrNotFound) {
			continue // removed since
		}
		if err != nil {
			return nil, err
		}
		schedules = append(schedules, schedule)
	}
	return schedules, nil
}

// Get returns one schedule, or [ErrNotFound].
func (s *Schedules) Get(ctx context.Context, name string) (Schedule, error) {
	stream, err := s.stream(ctx)
	if err != nil {
		return Schedule{}, err
	}
	return read(ctx, stream, name)
}

// Remove takes a schedule away; it does not fire again. What it has fired and
// nobody has seen yet still counts.
func (s *Schedules) Remove(ctx context.Context, name string) error {
	stream, err := s.stream(ctx)
	if err != nil {
		return err
	}
	if _, err := read(ctx, stream, name); err != nil {
		return err
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSubject(broker.ScheduleSubject(name))); err != nil {
		return fmt.Errorf("remove schedule %s: %w", name, err)
	}
	return nil
}

// Next returns the next n times after from at which the schedule fires. Those of
// an interval are counted from when it was set or fired last.
func (s *Schedules) Next(ctx context.Context, name string, from time.Time, n int) ([]time.Time, error) {
	schedule, err := s.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(strings.TrimSpace(schedule.Expr), strings.TrimSpace(every)) {
		return schedule.Clock.Next(from, n)
	}
	last, next, err := s.fired(ctx, name)
	if err != nil {
		return nil, err
	}
	if last.Before(schedule.Set) { // not fired since it was set
		first, err := schedule.Clock.Next(schedule.Set.Round(time.Second), 1)
		if err != nil {
			return nil, err
		}
		next = first[0]
	}
	// What lies before from was missed while the broker was away: it fires once,
	// as soon as it can.
	times := []time.Time{latest(next, from).UTC()}
	rest, err := schedule.Clock.Next(times[0], n-1)
	return append(times, rest...)[:min(n, len(rest)+1)], err
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// fired returns when a schedule fired last, and what the broker then said about
// the next time; zero if it never did.
func (s *Schedules) fired(ctx context.Context, name string) (last, next time.Time, err error) {
	stream, err := s.stream(ctx)
	if err != nil {
		return last, next, err
	}
	m, err := stream.GetLastMsgForSubject(ctx, broker.FireSubject(name))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return last, next, nil
	}
	if err != nil {
		return last, next, fmt.Errorf("last firing of schedule %s: %w", name, err)
	}
	next, err = time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.ScheduleNextHeader))
	if err != nil {
		return last, next, fmt.Errorf("next firing of schedule %s: %w", name, err)
	}
	return m.Time, next, nil
}

func (s *Schedules) stream(ctx context.Context) (jetstream.Stream, error) {
	stream, err := s.broker.JetStream().Stream(ctx, broker.ScheduleStream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", broker.ScheduleStream, err)
	}
	return stream, nil
}

func read(ctx context.Context, stream jetstream.Stream, name string) (Schedule, error) {
	var schedule Schedule
	m, err := stream.GetLastMsgForSubject(ctx, broker.ScheduleSubject(name))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return schedule, fmt.Errorf("schedule %s: %w", name, ErrNotFound)
	}
	if err == nil {
		err = json.Unmarshal(m.Data, &schedule)
	}
	if err != nil {
		return schedule, fmt.Errorf("read schedule %s: %w", name, err)
	}
	schedule.Set = m.Time
	return schedule, nil
}

// order is what a firing of s asks for.
func (s Schedule) order() schemas.TrainOrder {
	order := s.Order
	order.Reason = cmp.Or(order.Reason, "schedule "+s.Name)
	return order
}
