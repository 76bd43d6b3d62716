package demo

import (
	"errors"
	"fmt"
	"os"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/stages/ingest"
)

// ErrLogs says that [Options.Logs] has nothing to learn from.
var ErrLogs = errors.New("no conversations to learn from")

// checkLogs looks for the first conversation, so that a wrong path is known
// before a model is trained for it.
func checkLogs(o Options) error {
	if o.Logs == "" {
		return nil
	}
	var mapping *ingest.Mapping
	if o.Mapping != "" {
		m, err := ingest.ParseMapping(o.Mapping)
		if err != nil {
			return fmt.Errorf("mapping: %w", err)
		}
		mapping = m
	}
	var unread []string // why, of each file
	found := errors.New("found")
	skipped, err := app.Files([]string{o.Logs}, func(name string, f *os.File) error {
		reason, err := ingest.Recognise(o.Config.Ingest, mapping, name, f)
		if err != nil {
			reason = name + ": " + err.Error()
		}
		if reason == "" {
			return found
		}
		unread = append(unread, reason)
		return nil
	})
	switch {
	case errors.Is(err, found):
		return nil
	case err != nil:
		return fmt.Errorf("%w: %w", ErrLogs, err)
	case len(unread) > 0:
		return fmt.Errorf("%w in %s (files: %d): %s", ErrLogs, o.Logs, len(unread), unread[0])
	case len(skipped) > 0:
		return fmt.Errorf("%w: %s %s", ErrLogs, skipped[0].Path, skipped[0].Reason)
	}
	return fmt.Errorf("%w: %s holds no file", ErrLogs, o.Logs)
}
