package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// Env is what commands use of the world besides the file system.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	Environ  []string // "NAME=value"
	Program  string   // how it was called, for commands to copy
	Now      func() time.Time
}

// Main runs the command that args name and returns its exit code. Cancelling
// ctx stops it; what can be resumed says how.
func Main(ctx context.Context, args []string, env Env) int {
	root := newRoot(env)
	root.SetArgs(args)
	root.SetIn(env.In)
	root.SetOut(env.Out)
	root.SetErr(env.Err)
	command, err := root.ExecuteContextC(ctx)
	code := exitCode(err)
	if err != nil {
		fmt.Fprintf(env.Err, "glmflow: %s\n", describe(err))
	}
	if code == ExitUsage {
		fmt.Fprintf(env.Err, "see: %s --help\n", command.CommandPath())
	}
	return code
}

// newRoot lists the verbs.
func newRoot(env Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "glmflow",
		Short: "Customer conversations in; an evaluated, gated and signed ChatGLM3 out",
		Long: `glmflow turns customer conversations into a fine-tuned, evaluated, gated and
signed ChatGLM3, and keeps doing that, every night, by itself.`,
		Args:          wrong(cobra.NoArgs),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.CompletionOptions.HiddenDefaultCmd = true
	add := func(id, title string, commands ...*cobra.Command) {
		root.AddGroup(&cobra.Group{ID: id, Title: title})
		for _, c := range commands {
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	add("flow", "The flow, from customers' logs to a published model:",
		newDemoCommand(env),
		newUpCommand(env),
		newIngestCommand(env),
		newTrainCommand(env),
		newEvaluateCommand(env),
		newRunsCommand(env),
		newModelsCommand(env),
		newScheduleCommand(env),
		newDoctorCommand(env),
	)
	add("engine", "The engine, without the flow:",
		newFinetuneCommand(env),
		newTokenizeCommand(env),
		newScoreCommand(env),
		newGenerateCommand(env),
		newChatCommand(env),
		newModelCommand(env),
		newBenchCommand(env),
	)
	return root
}

// wrong makes a failed check of positional arguments a usage error.
func wrong(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}
