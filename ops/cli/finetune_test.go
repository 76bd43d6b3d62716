package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// glmflow runs a command line, cancelling it when the clock has been read
// limit times; 0 never does.
func glmflow(t *testing.T, limit int, args ...string) (code int, stderr string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, notices bytes.Buffer
	reads := 0
	code = Main(ctx, args, Env{
		In: strings.NewReader(""), Out: &out, Err: &notices,
		Now: func() time.Time {
			if reads++; reads == limit {
				cancel()
			}
			return time.Unix(int64(reads), 0)
		},
	})
	return code, notices.String()
}

// TestFinetuneGoesOn interrupts a training again and again: the same command
// ends with the same adapter, and the metrics have every step once.
func TestFinetuneGoesOn(t *testing.T) {
	dir := t.TempDir()
	var rows strings.Builder
	for i := range 12 {
		fmt.Fprintf(&rows, "{\"ids\":[%d,%d,%d,%d]}\n", i+3, i+4, i+5, i+6)
	}
	data, model := filepath.Join(dir, "rows.jsonl"), filepath.Join(dir, "m")
	if err := os.WriteFile(data, []byte(rows.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, stderr := glmflow(t, 0, "model", "init", "--out", model); code != ExitDone {
		t.Fatal(stderr)
	}
	train := func(name string, limit int) (int, string) {
		return glmflow(t, limit, "finetune", "--model", model, "--data", data, "--val", data, "--out", filepath.Join(dir, name),
			"--metrics", filepath.Join(dir, name+".jsonl"), "--device", "reference", "--lr", "0.01",
			"--batch-tokens", "8", "--epochs", "2", "--eval-every", "4", "--save-every", "5")
	}
	if code, stderr := train("whole", 0); code != ExitDone {
		t.Fatal(stderr)
	}
	interruptions := 0
	for limit := 7; ; limit += 3 {
		code, stderr := train("pieces", limit)
		if code == ExitDone {
			break
		}
		if code != ExitFailed || !strings.Contains(stderr, "interrupted after step") || !strings.Contains(stderr, "the same command goes on") {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		interruptions++
	}
	if interruptions < 3 {
		t.Errorf("interrupted %d times, want 3 or more for the test to mean something", interruptions)
	}
	adapter := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name, "adapter_model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if !bytes.Equal(adapter("whole"), adapter("pieces")) {
		t.Error("the interrupted training ended with another adapter")
	}
	if _, err := os.Stat(filepath.Join(dir, "pieces", "checkpoint")); err == nil {
		t.Error("the checkpoint is still there")
	}
	want, got := losses(t, filepath.Join(dir, "whole.jsonl")), losses(t, filepath.Join(dir, "pieces.jsonl"))
	if want != got {
		t.Errorf("metrics of the interrupted training\n%s\nof the undisturbed one\n%s", got, want)
	}
}

// TestChangedOptionsLeaveTheCheckpoints: an interrupted training's directory is
// its own, until somebody says otherwise.
func TestChangedOptionsLeaveTheCheckpoints(t *testing.T) {
	dir := t.TempDir()
	data, model, out := filepath.Join(dir, "rows.jsonl"), filepath.Join(dir, "m"), filepath.Join(dir, "out")
	if err := os.WriteFile(data, []byte(strings.Repeat("{\"ids\":[3,4,5,6]}\n", 8)), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, stderr := glmflow(t, 0, "model", "init", "--out", model); code != ExitDone {
		t.Fatal(stderr)
	}
	train := func(limit int, further ...string) (int, string) {
		args := []string{"finetune", "--model", model, "--data", data, "--out", out, "--device", "reference", "--batch-tokens", "4", "--save-every", "1"}
		return glmflow(t, limit, append(args, further...)...)
	}
	if code, stderr := train(12, "--lr", "0.001"); code != ExitFailed || !strings.Contains(stderr, "interrupted") {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	// It was killed while it wrote its result, say.
	if err := os.WriteFile(filepath.Join(out, "adapter_model.safetensors"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	before := files(t, out)
	code, stderr := train(0, "--lr", "0.002")
	if code != ExitFailed || !strings.Contains(stderr, "learning_rate was 0.001, is 0.002; name another --out, or write over it with --overwrite") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if after := files(t, out); !maps.Equal(before, after) {
		t.Error("the other run's files have changed")
	}
	if code, stderr := train(0, "--lr", "0.001"); code != ExitDone || !strings.Contains(stderr, "resumed at step") {
		t.Errorf("the same command: exit code %d: %s", code, stderr)
	}
	if code, stderr := train(12, "--lr", "0.001", "--overwrite"); code != ExitFailed || !strings.Contains(stderr, "interrupted") {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if code, stderr := train(0, "--lr", "0.002", "--overwrite"); code != ExitDone || strings.Contains(stderr, "resumed at step") {
		t.Errorf("told to write over: exit code %d: %s", code, stderr)
	}
}

// files are the files below dir, with what they hold.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// losses lists the steps and losses of a metrics file.
func losses(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for line := range strings.Lines(string(text)) {
		var m metricsLine
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&all, m.Step, *m.Loss, m.Tokens)
	}
	return all.String()
}
