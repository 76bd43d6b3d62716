package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
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
