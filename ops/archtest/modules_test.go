package archtest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDependenciesSayWhy: go.mod gives a reason for every module that we
// import, and marks none of them as another's.
func TestDependenciesSayWhy(t *testing.T) {
	file, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^\s+(\S+) v\S+(?: // (.*))?$`).FindAllStringSubmatch(string(file), -1) {
		reasons[line[1]] = line[2]
	}
	if len(reasons) < 20 {
		t.Fatalf("go.mod names only %d modules", len(reasons))
	}
	direct := map[string]string{}
	for _, p := range packages(t) {
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if m := moduleOf(imported, reasons); m != "" {
				direct[m] = p.ImportPath
			}
		}
	}
	for m, importer := range direct {
		if reasons[m] == "" || reasons[m] == "indirect" {
			t.Errorf("go.mod does not say why %s imports %s: run go mod tidy, and write the reason behind its version", importer, m)
		}
	}
}

// moduleOf is the module among those of go.mod that holds a package, "" for
// the standard library and for us.
func moduleOf(path string, modules map[string]string) string {
	for path != "" {
		if _, ok := modules[path]; ok {
			return path
		}
		path = path[:max(strings.LastIndexByte(path, '/'), 0)]
	}
	return ""
}
