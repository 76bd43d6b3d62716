//go:build unix && !solaris && !aix

package atomicfile

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// victim names the file that this test binary writes and never finishes.
const victim = "ATOMICFILE_VICTIM"

func TestMain(m *testing.M) {
	if path := os.Getenv(victim); path != "" {
		_ = Write(path, func(w io.Writer) error {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return err
			}
			os.Stdout.WriteString("half\n")
			_, err := io.Copy(io.Discard, os.Stdin) // until killed
			return err
		})
		return
	}
	os.Exit(m.Run())
}

// names lists what is in dir.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// TestAKilledWriterIsSweptUp: what a process leaves that is killed while it
// writes, the next writer of the same file removes, and nothing while it lives.
func TestAKilledWriterIsSweptUp(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.safetensors")
	others := []string{".model.safetensors.swp", ".model.safetensors.12a", ".other.123", "model.safetensors.123", ".model.safetensors."}
	for _, name := range others {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command(os.Args[0], "-test.run=^$")
	c.Env = append(os.Environ(), victim+"="+path)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("half\n"))); err != nil {
		t.Fatal(err)
	}
	if err := WriteBytes(path, []byte("whole")); err != nil {
		t.Fatal(err)
	}
	if all := names(t, dir); len(all) != len(others)+2 {
		t.Errorf("while another process writes there are %q, want its hidden file among them", all)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if all := names(t, dir); len(all) != len(others)+2 {
		t.Fatalf("after the kill there are %q: the test shows nothing", all)
	}
	if err := WriteBytes(path, []byte("again")); err != nil {
		t.Fatal(err)
	}
	if all := names(t, dir); len(all) != len(others)+1 {
		t.Errorf("after the next write there are %q, want the file and what is none of ours", all)
	}
}

// TestWritersAtOnce: those who write the same file at the same time sweep none
// of each other's.
func TestWritersAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	const writers, times = 8, 30
	errs := make([]error, writers)
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for range times {
				errs[i] = errors.Join(errs[i], WriteBytes(path, []byte{byte('a' + i)}))
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if all := names(t, filepath.Dir(path)); len(all) != 1 {
		t.Errorf("left %q, want the file alone", all)
	}
	if b, err := os.ReadFile(path); err != nil || len(b) != 1 {
		t.Errorf("the file holds %q (%v), want one writer's letter", b, err)
	}
}
