//go:build unix && !solaris && !aix

package atomicfile

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// claim locks f, as long as it is open: the kernel lets go of it when the writer
// dies, however that happens. Where a file system knows no locks, none can be
// had by those who sweep either, and dead files stay.
func claim(f *os.File) { _ = flock(f, unix.LOCK_EX) }

// removeDead removes a hidden file that no living writer has claimed.
func removeDead(path string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	if flock(f, unix.LOCK_EX|unix.LOCK_NB) == nil && there(f) {
		_ = os.Remove(path)
	}
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// publish gives f its name while it is claimed, and closes it.
func publish(f *os.File, path string) error {
	return errors.Join(os.Rename(f.Name(), path), f.Close())
}

// syncDir puts the names in dir on the disk. Some file systems have no such
// thing and need none.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
