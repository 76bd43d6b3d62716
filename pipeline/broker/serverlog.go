package broker

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// serverLog passes what the embedded server says on: its troubles as warnings,
// the rest as debugging. It remembers the last trouble.
type serverLog struct {
	log *slog.Logger

	mu      sync.Mutex
	trouble string
}

func (l *serverLog) Noticef(format string, v ...any) { l.debug(format, v) }
func (l *serverLog) Debugf(format string, v ...any)  { l.debug(format, v) }
func (l *serverLog) Tracef(format string, v ...any)  { l.debug(format, v) }
func (l *serverLog) Errorf(format string, v ...any)  { l.warn(format, v) }
func (l *serverLog) Fatalf(format string, v ...any)  { l.warn(format, v) }

func (l *serverLog) Warnf(format string, v ...any) {
	// Not a trouble here: the password is drawn at random, reaches the server in
	// memory, and lies in a file that its owner alone can read.
	if strings.HasPrefix(format, "Plaintext passwords detected") {
		l.debug(format, v)
		return
	}
	l.warn(format, v)
}

func (l *serverLog) debug(format string, v []any) {
	l.log.Debug("broker", "says", fmt.Sprintf(format, v...))
}

func (l *serverLog) warn(format string, v []any) {
	text := fmt.Sprintf(format, v...)
	l.mu.Lock()
	l.trouble = text
	l.mu.Unlock()
	l.log.Warn("broker", "says", text)
}

func (l *serverLog) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trouble
}
