// Command glmflow turns customer conversations into an evaluated, gated,
// signed and served ChatGLM3. Run it without arguments for its commands; they
// live in ops/cli.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/glmflow/glmflow/ops/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	code := cli.Main(ctx, os.Args[1:], cli.Env{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Environ: os.Environ(),
		Program: os.Args[0],
		Now:     time.Now,
	})
	stop()
	os.Exit(code)
}
