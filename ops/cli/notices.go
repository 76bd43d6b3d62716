package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// notices shows what a package logs to the one who waits for it: a line a record,
// with the attributes behind the message. before is called first, to clear away
// what stands there.
type notices struct {
	w      io.Writer
	before func()
}

// newNotices makes a logger.
func newNotices(w io.Writer, before func()) *slog.Logger { return slog.New(notices{w, before}) }

// Enabled implements [slog.Handler].
func (notices) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle implements [slog.Handler].
func (n notices) Handle(_ context.Context, r slog.Record) error {
	var attributes []string
	r.Attrs(func(a slog.Attr) bool {
		attributes = append(attributes, fmt.Sprintf("%s %v", strings.ReplaceAll(a.Key, "_", " "), a.Value))
		return true
	})
	line := r.Message
	if len(attributes) > 0 {
		line += " (" + strings.Join(attributes, ", ") + ")"
	}
	n.before()
	_, err := fmt.Fprintln(n.w, line)
	return err
}

// WithAttrs and WithGroup implement [slog.Handler]; nobody who logs here uses them.
func (n notices) WithAttrs([]slog.Attr) slog.Handler { return n }

// WithGroup is explained above.
func (n notices) WithGroup(string) slog.Handler { return n }
