//go:build !unix || solaris || aix

package atomicfile

import "os"

// claim does nothing: without locks a dead writer cannot be told from a living
// one, and what it left stays.
func claim(*os.File) {}

func removeDead(string) {}

// publish closes f, which may not be renamed while it is open, and gives it its
// name.
func publish(f *os.File, path string) error {
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// syncDir does nothing: a directory cannot be opened for that.
func syncDir(string) error { return nil }
