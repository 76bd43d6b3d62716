package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
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

// TestDocsNameFilesThatAre: what a package comment or a page points to is there.
func TestDocsNameFilesThatAre(t *testing.T) {
	root := filepath.Join("..", "..")
	code := regexp.MustCompile(`\b[a-z_0-9]+\.go\b`)
	page := regexp.MustCompile(`\bdocs/[a-z_0-9/-]+\.(?:md|yaml)\b`)
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	exists := func(from, to string) {
		if _, err := os.Stat(filepath.FromSlash(to)); err != nil {
			t.Errorf("%s points to %s, which is not there", from, to)
		}
	}
	for _, p := range packages(t) {
		text, err := os.ReadFile(filepath.Join(p.Dir, "doc.go"))
		if err != nil {
			continue
		}
		for _, name := range page.FindAllString(string(text), -1) {
			exists(p.ImportPath, filepath.Join(root, name))
		}
		for _, name := range code.FindAllString(string(text), -1) {
			if found, _ := filepath.Glob(filepath.Join(p.Dir, name)); len(found) > 0 {
				continue
			}
			if below, _ := filepath.Glob(filepath.Join(p.Dir, "*", name)); len(below) == 0 {
				t.Errorf("%s speaks of %s, which is not there", p.ImportPath, name)
			}
		}
	}
	pages, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(path string, _ os.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			pages = append(pages, path)
		}
		return err
	})
	if err != nil || len(pages) < 5 {
		t.Fatalf("pages %v, %v", pages, err)
	}
	for _, from := range pages {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			exists(from, filepath.Join(filepath.Dir(from), m[1]))
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
