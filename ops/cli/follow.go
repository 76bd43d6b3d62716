package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/term"
	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/ledger"
)

// How long a follower is patient.
const (
	quiet = 3 * time.Second  // without a report, it looks whether anybody works on the job at all
	lost  = 20 * time.Second // without a broker, it gives up
)

// A follower shows a run while it goes.
type follower struct {
	app  *app.App
	bar  *term.Progress
	now  func() time.Time
	last map[string]pipeline.Metric // the newest report of each stage
	said map[string]bool            // stages whose end was shown
	idle string                     // why the active stage does not move, "" if it does
	gone time.Time                  // since when there is no broker
}

func newFollower(a *app.App, bar *term.Progress, now func() time.Time) *follower {
	return &follower{app: a, bar: bar, now: now, last: map[string]pipeline.Metric{}, said: map[string]bool{}}
}

// follow shows the run of that id until it is as wanted, or settled.
func (f *follower) follow(ctx context.Context, id string, wanted func(ledger.Run) bool) (ledger.Run, error) {
	inner, cancel := context.WithCancel(ctx)
	metrics := make(chan pipeline.Metric)
	var reading errgroup.Group
	reading.Go(func() error {
		defer close(metrics)
		for m, err := range f.app.Metrics(inner, id) {
			if err != nil {
				return err
			}
			select {
			case metrics <- m:
			case <-inner.Done():
				return nil
			}
		}
		return nil
	})
	run, err := f.loop(inner, id, wanted, metrics)
	cancel()
	f.bar.Clear()
	if bad := reading.Wait(); err == nil && !errors.Is(bad, context.Canceled) {
		err = bad
	}
	if errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w; the order is kept: see `glmflow runs show %s`", err, shortID(id))
	}
	return run, err
}

func (f *follower) loop(ctx context.Context, id string, wanted func(ledger.Run) bool, metrics <-chan pipeline.Metric) (ledger.Run, error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		changed := f.app.Ledger.Changed()
		run, ok := f.app.Ledger.Run(id)
		if ok && run.Settled() && len(f.said) == 0 && len(f.last) == 0 {
			return run, nil // it was over before: there is nothing to watch
		}
		if ok {
			f.show(run)
			if run.Settled() || run.State == ledger.Cancelled || wanted(run) {
				return run, nil
			}
		}
		select {
		case <-ctx.Done():
			return run, ctx.Err()
		case m, open := <-metrics:
			if !open {
				metrics = nil // the reader's error is told at the end
				continue
			}
			f.last[m.Stage] = m
		case <-changed:
		case <-tick.C:
			if err := f.look(ctx, run); err != nil {
				return run, err
			}
		}
	}
}

// look finds out why nothing happens.
func (f *follower) look(ctx context.Context, run ledger.Run) error {
	now := f.now()
	if f.app.Broker.Conn().IsConnected() {
		f.gone = time.Time{}
	} else {
		if f.gone.IsZero() {
			f.gone = now
		}
		if now.Sub(f.gone) > lost {
			return errors.New("the process that ran the broker has ended; the order is kept: start `glmflow up`, then follow it with `glmflow runs follow " + shortID(run.ID) + "`")
		}
		return nil
	}
	f.idle = ""
	stage, ok := active(run)
	if !ok || now.Sub(f.last[stage.Name].Time) < quiet {
		return nil
	}
	q, served, err := f.app.Broker.Queue(ctx, stage.Name)
	switch {
	case err != nil: // not knowing is no reason to stop
	case q.Retried > 0:
		f.idle = "is tried again after an error; the log of who serves it tells (here: --verbose)"
	case !served || q.Working == 0:
		f.idle = "waits: nobody serves this stage yet"
	}
	return nil
}

// show draws the active stage and says what the stages before it did.
func (f *follower) show(run ledger.Run) {
	for _, s := range run.Stages {
		if s.Waiting > 0 {
			break
		}
		if !f.said[s.Name] {
			f.said[s.Name] = true
			f.bar.Done(s.Name, f.summary(s))
		}
	}
	s, ok := active(run)
	if !ok {
		return
	}
	p := f.last[s.Name].Progress
	if f.idle == "" && s.Waiting+s.Done+s.Parked == 1 && p.Done == 0 && p.Total == 0 {
		return // nothing to tell yet
	}
	done, total, detail := p.Done, p.Total, p.Message
	if jobs := s.Done + s.Parked + s.Waiting; jobs > 1 {
		done, total, detail = int64(s.Done+s.Parked), int64(jobs), "shards"
	}
	if loss, ok := p.Values["loss"]; ok {
		detail = fmt.Sprintf("loss %.3f", loss)
	}
	if f.idle != "" {
		detail = f.idle
	}
	f.bar.Show(s.Name, done, total, detail)
}

// active is the first stage that still has work.
func active(run ledger.Run) (ledger.StageState, bool) {
	for _, s := range run.Stages {
		if s.Waiting > 0 {
			return s, true
		}
	}
	return ledger.StageState{}, false
}

// summary says what a stage did in a few words.
func (f *follower) summary(s ledger.StageState) string {
	var parts []string
	switch p := f.last[s.Name].Progress; {
	case slices.Contains(rowStages(), s.Name):
		if s.RowsIn > 0 {
			parts = append(parts, digits(s.RowsIn)+" →")
		}
		parts = append(parts, count(int(s.RowsOut), "row"))
	case p.Total > 1:
		parts = append(parts, fmt.Sprintf("%s %s", digits(p.Done), p.Unit))
	}
	text := strings.Join(parts, " ")
	if text == "" {
		text = "done"
	}
	for _, note := range []struct {
		n    int64
		what string
	}{{s.Rejected, "rejected"}, {int64(s.Parked), "parked"}} {
		if note.n > 0 {
			text += fmt.Sprintf(", %s %s", digits(note.n), note.what)
		}
	}
	return text
}

// rowStages are the stages whose work is many rows.
func rowStages() []string { return []string{"ingest", "clean", "tokenize"} }

// settled is no wish beyond a run's end.
func settled(ledger.Run) bool { return false }
