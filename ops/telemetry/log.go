package telemetry

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/lmittmann/tint"

	"github.com/glmflow/glmflow/ops/term"
)

// NewLogger returns a logger that writes to s.
//
// level is "debug", "info", "warn" or "error". format is "json", "text" or
// "auto", which is text on a terminal and JSON elsewhere. Text on a terminal is
// made for eyes: short times, and colours where the screen has them; anywhere
// else it is key=value for grep.
func NewLogger(s *term.Screen, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q is none of debug, info, warn, error", level)
	}
	options := &slog.HandlerOptions{Level: l}
	switch {
	case format == "json", format == "auto" && !s.Terminal:
		return slog.New(slog.NewJSONHandler(s.W, options)), nil
	case format != "auto" && format != "text":
		return nil, fmt.Errorf("log format %q is none of auto, text, json", format)
	case s.Terminal:
		return slog.New(tint.NewHandler(s.W, &tint.Options{Level: l, TimeFormat: time.TimeOnly, NoColor: !s.Colour})), nil
	}
	return slog.New(slog.NewTextHandler(s.W, options)), nil
}
