package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, ExitDone},
		{errors.New("broken"), ExitFailed},
		{fmt.Errorf("evaluate: %w", ErrGate), ExitGate},
		{fmt.Errorf("flags: %w", usagef("--x %d", 1)), ExitUsage},
		{context.Canceled, ExitFailed},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
	}
}

func TestWrongUseIsExitCodeTwo(t *testing.T) {
	for _, args := range []string{
		"fly", "score --wings", "score", "score extra --model m --data d", "model fly", "model info", "model init --out x --shape huge",
		"score --model m --data d --batch-tokens 0", "generate --model m --data d --top-p 3", "tokenize --model m --data d --max-length -1",
		"finetune --model m --data d --out o --epochs 0",
	} {
		var stdout, stderr bytes.Buffer
		code := Main(t.Context(), strings.Fields(args), Env{
			In: strings.NewReader(""), Out: &stdout, Err: &stderr, Now: time.Now,
		})
		if code != ExitUsage || !strings.Contains(stderr.String(), " --help") || stdout.Len() > 0 {
			t.Errorf("glmflow %s: exit code %d, want %d and where help is; stdout %q, stderr %q", args, code, ExitUsage, &stdout, &stderr)
		}
	}
}
