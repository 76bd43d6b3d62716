package cli

import (
	"io"
	"log/slog"

	"github.com/glmflow/glmflow/ops/config"
)

// logger is that of a verb for people, who read its output instead: it is silent
// unless they say --verbose.
func (f flowFlags) logger(c config.Log, w io.Writer) (*slog.Logger, error) {
	if !f.verbose {
		return slog.New(slog.DiscardHandler), nil
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, err
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})), nil
}
