package demo

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glmflow/glmflow/ops/config"
)

// TestWrongLogs: logs with nothing in them are refused in a sentence, and what
// has one conversation is taken.
func TestWrongLogs(t *testing.T) {
	const talk = `{"messages":[{"role":"user","content":"hello"},{"role":"assistant","content":"hello there"}]}` + "\n"
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("prose/letter.txt", "Dear Sir or Madam\n")
	write("void/void.jsonl", "")
	write("hidden/.talk.jsonl", talk)
	write("broken/a.jsonl", `{"messages":[{"role":"user"`+"\n")
	write("other/rows.jsonl", `{"said":[{"who":"a","what":"b"}]}`+"\n")
	write("mixed/a.txt", "Dear Sir or Madam\n")
	write("mixed/b.jsonl", talk)
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	for logs, want := range map[string]string{
		"nowhere": "no such file", "empty": "holds no file", "hidden": "holds no file",
		"prose": "(files: 1): letter.txt: its format is not recognised", "prose/letter.txt": "supported are JSON",
		"void": "the file is empty", "broken": "a.jsonl", "other": "nothing in it looks like a conversation",
	} {
		err := checkLogs(Options{Config: config.Default(), Logs: filepath.Join(dir, logs)})
		if !errors.Is(err, ErrLogs) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", logs, err, want)
		}
	}
	for _, logs := range []string{"mixed", "mixed/b.jsonl"} {
		if err := checkLogs(Options{Config: config.Default(), Logs: filepath.Join(dir, logs)}); err != nil {
			t.Errorf("%s: %v", logs, err)
		}
	}
	bad := Options{Config: config.Default(), Logs: filepath.Join(dir, "mixed"), Mapping: "turn: messages"}
	if err := checkLogs(bad); err == nil || !strings.Contains(err.Error(), "mapping") {
		t.Errorf("a mapping with a mistake: %v", err)
	}
}
