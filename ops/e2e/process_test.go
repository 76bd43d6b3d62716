package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/cli"
	"github.com/glmflow/glmflow/ops/config"
	"github.com/glmflow/glmflow/pipeline"
)

// partVariable holds the part that a process started by these tests plays.
const partVariable = "GLMFLOW_E2E_PART"

func TestMain(m *testing.M) {
	if text := os.Getenv(partVariable); text != "" {
		if err := play(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// A part is what a process of the flow does: a command of glmflow, or to serve
// what Config says until it is told to stop.
type part struct {
	Command []string
	Config  config.Config
	Halt    halt
}

// A halt is the place at which a process stops and waits for its end, holding
// what it holds there. The zero halt is nowhere.
type halt struct {
	Stage string
	At    moment
	Count int64 // the Count-th such job of this process, from 1; when reporting, so many units done of one
}

// A moment is when a job may be halted.
type moment string

const (
	started   moment = "started"   // taken, nothing done yet
	reporting moment = "reporting" // in the middle
	committed moment = "committed" // outputs are visible, the event is not acknowledged
)

// What a process says on its standard output.
const (
	ready  = "ready"  // the broker is up and the stages begin to work
	halted = "halted" // the halt is reached
)

// play works in the flow until it is told to stop.
func play(text string) error {
	var p part
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if p.Command != nil {
		if code := cli.Main(ctx, p.Command, cli.Env{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.Environ(), Now: time.Now}); code != cli.ExitDone {
			return fmt.Errorf("%s ended with %d", p.Command[0], code)
		}
		return nil
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	a, err := app.Open(ctx, p.Config, log, time.Now)
	if err != nil {
		return err
	}
	fmt.Println(ready)
	if err := a.Serve(ctx, p.Halt.observer()); err != nil {
		return err
	}
	return a.Close()
}

// observer halts the process at h.
func (h halt) observer() pipeline.Observer {
	var jobs atomic.Int64
	at := func(m moment, info pipeline.JobInfo, count func() int64) {
		if info.Stage == h.Stage && m == h.At && count() == h.Count {
			fmt.Println(halted)
			select {}
		}
	}
	next := func() int64 { return jobs.Add(1) }
	return pipeline.Observer{
		JobStarted: func(info pipeline.JobInfo) { at(started, info, next) },
		JobProgress: func(info pipeline.JobInfo, p pipeline.Progress) {
			at(reporting, info, func() int64 { return p.Done })
		},
		JobFinished: func(info pipeline.JobInfo, o pipeline.Outcome) {
			if o.Result == pipeline.Done {
				at(committed, info, next)
			}
		},
	}
}

// A process is one that runs part of the flow.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // of its standard output; closed at its end
}

// launch starts a process and waits until it is ready.
func launch(t *testing.T, p part) *process {
	t.Helper()
	r := start(t, p)
	r.await(ready)
	return r
}

// start starts a process. It is killed at the end of the test.
func start(t *testing.T, p part) *process {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), partVariable+"="+string(text))
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &process{t: t, cmd: cmd, lines: make(chan string, 16)}
	go func() {
		defer close(r.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			r.lines <- s.Text()
		}
	}()
	t.Cleanup(r.kill)
	return r
}

// await waits until the process says a line that begins with word.
func (r *process) await(word string) {
	r.t.Helper()
	late := time.After(patience)
	for {
		select {
		case line, alive := <-r.lines:
			if !alive {
				r.t.Fatalf("the process ended before it was %s", word)
			}
			if strings.HasPrefix(line, word) {
				return
			}
		case <-late:
			r.t.Fatalf("the process never was %s", word)
		}
	}
}

// kill ends the process as a power failure would. It may be called again.
func (r *process) kill() {
	if r.cmd.ProcessState != nil {
		return
	}
	r.cmd.Process.Signal(syscall.SIGKILL)
	r.end()
}

// stop asks the process to end and checks that it does so well.
func (r *process) stop() {
	r.t.Helper()
	r.cmd.Process.Signal(syscall.SIGTERM)
	if err := r.end(); err != nil {
		r.t.Errorf("the process ended with %v", err)
	}
}

// end waits for the process, and for the last it had to say.
func (r *process) end() error {
	for range r.lines {
	}
	return r.cmd.Wait()
}
