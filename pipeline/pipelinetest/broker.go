package pipelinetest

import (
	"context"
	"testing"
	"time"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/broker"
)

// deadline is how long a test waits for what must happen. It is generous: a busy
// machine is no bug.
const deadline = time.Minute

// Broker starts an embedded broker in a directory of the test's own, which stops
// with the test.
func Broker(t testing.TB) *broker.Broker {
	t.Helper()
	b, _ := StartBroker(t, t.TempDir())
	return b
}

// StartBroker starts an embedded broker over dir. It stops with the test, or
// before: a test that stops it and starts another over the same dir has seen a
// crash, for nothing is told to the streams in between.
func StartBroker(t testing.TB, dir string) (b *broker.Broker, stop func()) {
	t.Helper()
	b, err := broker.Start(context.Background(), broker.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		t.Helper()
		if stopped {
			return
		}
		stopped = true
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return b, stop
}

// Work starts a runner. It stops with the test, or before when stop is called,
// which returns what Run did. The pauses after errors are short.
func Work(t testing.TB, cfg pipeline.RunnerConfig) (stop func() error) {
	t.Helper()
	if cfg.Backoff == nil {
		cfg.Backoff = func(int) time.Duration { return time.Millisecond }
	}
	r, err := pipeline.NewRunner(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return stop
}

// Eventually waits until ok returns true, and fails the test if that takes a
// minute. what completes the sentence "waited in vain for …".
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	end := time.NewTimer(deadline)
	defer end.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-end.C:
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

// Receive returns the next value of c, and fails the test if none comes within a
// minute.
func Receive[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	end := time.NewTimer(deadline)
	defer end.Stop()
	select {
	case v := <-c:
		return v
	case <-end.C:
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}
