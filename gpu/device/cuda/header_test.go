package cuda_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestHeaderAgrees lets a C compiler compare include/cuda.h with the header of
// an installed toolkit, whose directory GLMFLOW_CUDA_INCLUDE names: the value of
// every constant, size and offsets of every structure, and every function that
// the toolkit still declares.
func TestHeaderAgrees(t *testing.T) {
	toolkit := os.Getenv("GLMFLOW_CUDA_INCLUDE")
	if toolkit == "" {
		t.Skip("set GLMFLOW_CUDA_INCLUDE to a directory with a toolkit's cuda.h")
	}
	raw, err := os.ReadFile("include/cuda.h")
	if err != nil {
		t.Fatal(err)
	}
	ours := string(raw)
	var check strings.Builder
	check.WriteString("#include <cuda.h>\n#include <stddef.h>\n")

	constants := regexp.MustCompile(`\b(CU\w+) = (\d+)`).FindAllStringSubmatch(ours, -1)
	constants = append(constants, regexp.MustCompile(`#define (CU\w+) (0x\d+)`).FindAllStringSubmatch(ours, -1)...)
	for _, c := range constants {
		fmt.Fprintf(&check, "_Static_assert(%s == %s, \"value of %s\");\n", c[1], c[2], c[1])
	}

	structs := regexp.MustCompile(`(?s)typedef struct \{\n(.*?)\} (\w+);`).FindAllStringSubmatch(ours, -1)
	for _, s := range structs {
		fmt.Fprintf(&check, "typedef struct {\n%s} ours_%s;\n", s[1], s[2])
		fmt.Fprintf(&check, "_Static_assert(sizeof(ours_%[1]s) == sizeof(%[1]s), \"size of %[1]s\");\n", s[2])
		for _, f := range regexp.MustCompile(`(\w+)(?:\[\d+\])?[,;]`).FindAllStringSubmatch(s[1], -1) {
			fmt.Fprintf(&check, "_Static_assert(offsetof(ours_%[1]s, %[2]s) == offsetof(%[1]s, %[2]s), \"%[1]s.%[2]s\");\n", s[2], f[1])
		}
	}

	functions := regexp.MustCompile(`(?m)^CUresult (cu\w+)\(.*\);$`).FindAllStringSubmatch(ours, -1)
	for _, f := range functions { // a second declaration must agree with the first
		fmt.Fprintf(&check, "#undef %s\n%s\n", f[1], f[0])
	}
	if len(constants) < 200 || len(structs) < 8 || len(functions) < 150 {
		t.Fatalf("found only %d constants, %d structures and %d functions", len(constants), len(structs), len(functions))
	}

	source := filepath.Join(t.TempDir(), "check.c")
	if err := os.WriteFile(source, []byte(check.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-fsyntax-only", "-I"+toolkit, source).CombinedOutput(); err != nil {
		t.Errorf("include/cuda.h differs from %s/cuda.h: %v\n%s", toolkit, err, out)
	}
}
