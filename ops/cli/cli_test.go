package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/cli"
	"github.com/glmflow/glmflow/ops/config"
	"github.com/glmflow/glmflow/ops/demo/corpus"
	"github.com/glmflow/glmflow/pipeline/broker"
)

// TestMain also serves the scripts: there, glmflow is this binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"glmflow": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			os.Exit(cli.Main(ctx, os.Args[1:], cli.Env{
				In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.Environ(), Now: time.Now,
			}))
		},
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"vocabulary":    vocabulary,
			"conversations": conversations,
			"exitcode":      exitCode,
			"serving":       serving,
			"jsonlines":     jsonLines,
		},
	})
}

// vocabulary FILE TEXT… trains a tokenizer.model on the texts of files.
func vocabulary(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: vocabulary FILE TEXT...")
	}
	var texts []string
	for _, f := range args[1:] {
		texts = append(texts, ts.ReadFile(f))
	}
	model, err := tokenizer.Train(slices.Values(texts), 300)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), model, 0o644))
}

// jsonLines FILE KEY… checks that each line of a file is a JSON object of these
// keys and no others.
func jsonLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: jsonlines FILE KEY...")
	}
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var values map[string]json.RawMessage
		ts.Check(json.Unmarshal([]byte(line), &values))
		if len(values) != len(args)-1 {
			ts.Fatalf("%s has other keys than %v", line, args[1:])
		}
		for _, key := range args[1:] {
			if _, ok := values[key]; !ok {
				ts.Fatalf("%s lacks the key %s", line, key)
			}
		}
	}
}

// conversations DIR N writes N generated conversations as several systems export
// them.
func conversations(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: conversations DIR N")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	_, err = corpus.Write(ts.MkAbs(args[0]), corpus.Generate(corpus.Options{Seed: 3, Conversations: n}))
	ts.Check(err)
}

// exitCode N COMMAND… runs a command that must exit with N.
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("%v: %v, want exit code %s", args[1:], err, args[0])
	}
}

// serving DIR waits until some process runs a broker over DIR.
func serving(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serving DIR")
	}
	dir := app.BrokerDir(config.Config{Dir: ts.MkAbs(args[0])})
	for range 600 {
		if _, err := broker.Find(dir); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("nobody serves %s", dir)
}
