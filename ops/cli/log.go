package cli

import (
	"io"
	"log/slog"

	"github.com/glmflow/glmflow/ops/config"
)

// logger is that of a verb for people: it speaks when something is wrong, and
// of everything with --verbose.
func (f flowFlags) logger(c config.Log, w io.Writer) (*slog.Logger, error) {
	if !f.verbose {
		c.Level = "error"
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, err
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})), nil
}
