package e2e

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/ops/config"
	"github.com/glmflow/glmflow/schemas"
)

// TestSixProcesses splits the flow as a large installation does: somebody's
// nats-server, a shared artifact directory, and one `glmflow up --stages X` a
// stage. The one that trains is killed on the way and started again.
func TestSixProcesses(t *testing.T) {
	t.Parallel()
	model := base(t)
	logs, _ := conversations(t, 5, 60)
	c := settings(t, model)
	c.Train.Epochs = 20 // long enough to be caught in the middle
	c.Redeliver = 2 * time.Second
	want := undisturbed(t, c, logs)

	c.Dir = t.TempDir()
	c.NATS, c.Artifacts = natsServer(t), t.TempDir()
	f := join(t, c, false)
	var trainer *process
	for _, stage := range config.StageNames() {
		p := up(t, c, stage)
		if stage == "train" {
			trainer = p
		}
	}
	ingested := f.ingest(logs)
	if err := f.Train(t.Context(), "train", "e2e", schemas.TrainOrder{Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	f.trains("train", 20)
	trainer.kill()
	up(t, c, "train")
	if diff := cmp.Diff(want, f.result(ingested, f.settled("train"))); diff != "" {
		t.Errorf("six processes and one differ (-one +six):\n%s", diff)
	}
	if attempt, first := f.resumed("train"); attempt != 2 || first <= 4 {
		t.Errorf("attempt %d began with step %d, want the second to go on from a checkpoint", attempt, first)
	}
}

// up starts `glmflow up` for one stage, in a directory of its own.
func up(t *testing.T, c config.Config, stage string) *process {
	t.Helper()
	c.Dir = t.TempDir()
	text, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(c.Dir, "glmflow.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, part{Command: []string{"up", "--config", file, "--stages", stage}})
	p.await("stages")
	return p
}

// trains waits until a training has taken a step.
func (f *flow) trains(run string, step int64) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	for m, err := range f.Metrics(ctx, run) {
		if err != nil {
			f.t.Fatal(err)
		}
		if m.Stage == "train" && m.Progress.Done >= step {
			return
		}
	}
	f.t.Fatalf("run %s never came to step %d", run, step)
}

// natsServer builds and runs the plain nats-server and returns its URL.
func natsServer(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "nats-server")
	build := exec.Command("go", "build", "-o", binary, "github.com/nats-io/nats-server/v2")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build nats-server: %v\n%s", err, out)
	}
	cmd := exec.Command(binary, "--jetstream", "--store_dir", t.TempDir(), "--addr", "127.0.0.1", "--port", "-1")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGKILL)
		cmd.Wait()
	})
	address := ""
	s := bufio.NewScanner(log)
	for s.Scan() {
		if _, after, ok := strings.Cut(s.Text(), "Listening for client connections on "); ok {
			address = after
		}
		if strings.Contains(s.Text(), "Server is ready") {
			break
		}
	}
	if address == "" {
		t.Fatalf("nats-server does not listen: %v", s.Err())
	}
	go func() {
		for s.Scan() { // what is not read would block it
		}
	}()
	return "nats://" + address
}
