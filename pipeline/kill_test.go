package pipeline_test

import (
	"context"
	"log"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/pipeline/pipelinetest"
	"github.com/glmflow/glmflow/schemas"
)

// victimDir tells the test binary to be the process that gets killed.
const victimDir = "GLMFLOW_TEST_VICTIM"

// victim works in dir on a job that kills the whole process: no deferred call,
// no goodbye to the broker.
func victim(dir string) {
	ctx := context.Background()
	b, err := broker.Start(ctx, broker.Config{Dir: dir + "/broker"})
	if err != nil {
		log.Fatal(err)
	}
	store, err := artifact.Open(ctx, dir+"/artifacts")
	if err != nil {
		log.Fatal(err)
	}
	r, err := pipeline.NewRunner(pipeline.RunnerConfig{Broker: b, Store: store, Stages: []pipeline.Stage{deadly()}})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(r.Run(ctx))
}

func deadly() pipeline.Stage {
	return onDue(pipeline.Spec{Name: "deadly", Attempts: 3}, func(ctx context.Context, job *pipeline.Job) error {
		if err := pipeline.Emit(job, schemas.Adapter, schemas.AdapterRow{Name: "m"}); err != nil {
			return err
		}
		if err := job.Cut(schemas.Adapter, nil); err != nil {
			return err
		}
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	})
}

// TestKilledInEveryAttempt: a job that takes the process down each time is parked
// in the end, although nobody was ever left to count.
func TestKilledInEveryAttempt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, err := artifact.Open(t.Context(), dir+"/artifacts")
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	b, stop := pipelinetest.StartBroker(t, dir+"/broker")
	if _, err := b.Publish(t.Context(), due("x").Event(t, store)); err != nil {
		t.Fatal(err)
	}
	stop()
	for range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), victimDir+"="+dir)
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("the process ended with %v, want it killed: %s", err, out)
		}
	}
	b, _ = pipelinetest.StartBroker(t, dir+"/broker")
	pipelinetest.Work(t, pipeline.RunnerConfig{Broker: b, Store: store, Stages: []pipeline.Stage{deadly()}})
	pipelinetest.Eventually(t, "a dead letter", func() bool { return len(pipelinetest.Deads(t, b)) == 1 })
	if d := pipelinetest.Deads(t, b)[0]; d.Attempt != 3 || !strings.Contains(d.Reason, "the process died at work") {
		t.Errorf("dead letter of attempt %d: %s", d.Attempt, d.Reason)
	}
	if n := len(pipelinetest.Events(t, b, schemas.Adapter)); n != 0 {
		t.Errorf("%d outputs of a job that never ended", n)
	}
}
