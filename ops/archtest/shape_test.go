package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEveryPackageHasOneDoc: a package without a package comment, or with two,
// does not say what it is.
func TestEveryPackageHasOneDoc(t *testing.T) {
	for _, p := range packages(t) {
		var with []string
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.IgnoredGoFiles) {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if f.Doc != nil && strings.TrimSpace(f.Doc.Text()) != "" {
				with = append(with, name)
			}
		}
		if len(with) != 1 {
			t.Errorf("%s has a package comment in %d files %v, want one", p.ImportPath, len(with), with)
		}
	}
}

// TestStageShape: every stage shows the same face.
func TestStageShape(t *testing.T) {
	for _, stage := range []string{"ingest", "clean", "tokenize", "train", "evaluate", "publish"} {
		dir := filepath.Join("..", "..", "stages", stage)
		for _, name := range []string{"doc.go", "stage.go", "config.go", "stage_test.go"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				t.Errorf("stage %s lacks %s", stage, name)
			}
		}
		doc, err := os.ReadFile(filepath.Join(dir, "doc.go"))
		if err != nil {
			continue
		}
		for _, heading := range []string{"# Consumes", "# Produces", "# Guarantees", "# Configuration", "# Failure"} {
			if !strings.Contains(string(doc), heading) {
				t.Errorf("stages/%s/doc.go has no heading %q", stage, heading)
			}
		}
		test, err := os.ReadFile(filepath.Join(dir, "stage_test.go"))
		if err == nil && !strings.Contains(string(test), "pipelinetest.Exercise") {
			t.Errorf("stages/%s/stage_test.go does not run pipelinetest.Exercise", stage)
		}
	}
}

// TestNoHiddenState: packages start nothing by being imported and keep nothing
// in package variables that changes.
func TestNoHiddenState(t *testing.T) {
	banned := []string{"util", "utils", "common", "helpers", "helper", "manager", "misc", "pkg", "internal"}
	for _, p := range packages(t) {
		for _, part := range strings.Split(strings.TrimPrefix(p.ImportPath, module+"/"), "/") {
			if slices.Contains(banned, part) {
				t.Errorf("%s: the folder name %q says nothing", p.ImportPath, part)
			}
		}
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles) {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, 0)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s/%s has an init function", p.ImportPath, name)
				}
			}
		}
	}
}
