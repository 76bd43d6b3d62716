package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Exit codes of every command.
const (
	ExitDone   = 0 // the work is done
	ExitFailed = 1 // something went wrong
	ExitUsage  = 2 // the command was called wrongly
	ExitGate   = 3 // the work is done, but the gate said no
)

// ErrGate is returned by commands that wait for a verdict when it is negative.
var ErrGate = errors.New("the gate said no")

// usageError marks an error of the caller: a wrong flag, argument or value.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usagef is a usage error.
func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitCode is the exit code that err stands for.
func exitCode(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return ExitDone
	case errors.Is(err, ErrGate):
		return ExitGate
	case errors.As(err, &usage):
		return ExitUsage
	// Cobra has no types for these two.
	case strings.HasPrefix(err.Error(), "unknown command"), strings.HasPrefix(err.Error(), "required flag(s)"):
		return ExitUsage
	}
	return ExitFailed
}

// describe is err for people. A cancelled context was a person's doing and
// needs no Go words.
func describe(err error) string {
	text := err.Error()
	if errors.Is(err, context.Canceled) {
		text = strings.ReplaceAll(text, context.Canceled.Error(), "interrupted")
	}
	return text
}
