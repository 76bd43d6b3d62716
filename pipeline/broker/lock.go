package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

// ErrInUse reports that another process has a broker's directory open.
var ErrInUse = errors.New("in use by another process")

// ErrNotRunning reports that no process has a broker's directory open.
var ErrNotRunning = errors.New("no broker is running")

func lockFile(dir string) string { return filepath.Join(dir, "lock") }

// lock takes dir for this process and returns how to give it back. The operating
// system does so too when the process dies.
func lock(dir string) (unlock func() error, err error) {
	l := flock.New(lockFile(dir), flock.SetPermissions(0o600))
	ok, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if !ok {
		return nil, fmt.Errorf("%w: %s; stop it, or name another directory", ErrInUse, Holder(dir))
	}
	who := fmt.Sprintf("process %d (%s)", os.Getpid(), filepath.Base(os.Args[0]))
	if err := os.WriteFile(lockFile(dir), []byte(who+"\n"), 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l.Close, nil
}

// Holder says which process has the broker's directory dir open, in words:
// "process 4711 (glmflow)". It asks nobody whether that process still runs.
func Holder(dir string) string {
	who, err := os.ReadFile(lockFile(dir))
	if err != nil || len(who) == 0 {
		return "it has not said who it is"
	}
	return strings.TrimSpace(string(who))
}

// running checks that some process holds the lock of dir.
func running(dir string) error {
	if _, err := os.Stat(lockFile(dir)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", dir, ErrNotRunning)
	}
	l := flock.New(lockFile(dir))
	ok, err := l.TryRLock()
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if ok {
		return errors.Join(fmt.Errorf("%s: %w", dir, ErrNotRunning), l.Close())
	}
	return nil
}
