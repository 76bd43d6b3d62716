package cli_test

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/ops/cli"
)

// TestMain also serves the scripts: there, glmflow is this binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"glmflow": func() {
			os.Exit(cli.Main(context.Background(), os.Args[1:], cli.Env{
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
			"vocabulary": vocabulary,
			"jsonlines":  jsonLines,
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
