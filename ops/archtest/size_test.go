package archtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestBinaryIsLean: a dependency that brings a dictionary, a cloud's drivers or a
// second RPC stack along by accident shows here. Without C the size is that of
// the Go code alone, whatever compilers there are. docs/performance.md says what
// weighs.
func TestBinaryIsLean(t *testing.T) {
	const limit = 58 << 20 // 49 MiB when this was written
	binary := filepath.Join(t.TempDir(), "glmflow")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", binary, "./ops/cmd/glmflow")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > limit {
		t.Errorf("the program has %d bytes, more than %d: what came in? Compare `go tool nm -size -sort size` of a build without -ldflags with that of the commit before", info.Size(), limit)
	}
}
