//go:build cuda && cgo && linux && (amd64 || arm64)

package driver_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write symbols.h from what gorgonia.org/cu needs")

// TestSymbols compares symbols.h with the functions that cu's object files leave
// undefined.
func TestSymbols(t *testing.T) {
	nm, err := exec.LookPath("nm")
	if err != nil {
		t.Skip("needs nm of binutils:", err)
	}
	list := exec.Command("go", "list", "-export", "-f", "{{.Export}}", "gorgonia.org/cu")
	list.Stderr = os.Stderr
	archive, err := list.Output()
	if err != nil {
		t.Fatal("build gorgonia.org/cu:", err)
	}
	// nm complains of the archive's Go members, which it cannot read.
	symbols, _ := exec.Command(nm, strings.TrimSpace(string(archive))).Output()

	var needed []string
	for _, m := range regexp.MustCompile(`(?m) U (cu[A-Z]\w*)$`).FindAllStringSubmatch(string(symbols), -1) {
		if !strings.Contains(string(symbols), " T "+m[1]+"\n") { // not one of cu's own
			needed = append(needed, m[1])
		}
	}
	slices.Sort(needed)
	needed = slices.Compact(needed)
	init, ok := slices.BinarySearch(needed, "cuInit")
	if !ok {
		t.Fatalf("nm found only %d functions, and not cuInit", len(needed))
	}
	needed = slices.Delete(needed, init, init+1) // load.c has its own

	var want strings.Builder
	want.WriteString("// Written by TestSymbols -rewrite: the driver functions that gorgonia.org/cu calls.\n")
	for i, name := range needed {
		fmt.Fprintf(&want, "SYMBOL(%d, %s)\n", i, name)
	}
	if *rewrite {
		if err := os.WriteFile("symbols.h", []byte(want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("symbols.h")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), string(got)); diff != "" {
		t.Errorf("symbols.h is out of date; run this test with -rewrite (-want +got)\n%s", diff)
	}
}
