package cli

import (
	"io"
	"log/slog"

	"github.com/glmflow/glmflow/ops/config"
	"github.com/glmflow/glmflow/ops/term"
)

// logger is that of a verb for people, who read its output instead: it is silent
// unless they say --verbose.
func (f flowFlags) logger(c config.Log, w io.Writer) (*slog.Logger, error) {
	if !f.verbose {
		return slog.New(slog.DiscardHandler), nil
	}
	return serverLogger(c, w)
}

// serverLogger is that of a process that serves: for people on a terminal, JSON
// elsewhere, unless log.format says which.
func serverLogger(c config.Log, w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" || c.Format == "auto" && !term.NewScreen(w).Terminal {
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return slog.New(slog.NewTextHandler(w, options)), nil
}
