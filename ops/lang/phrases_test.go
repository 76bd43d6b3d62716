package lang

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestPhrases reads the templates and the code of those who speak through this
// package. Every phrase they say has Chinese, and every translation is of
// something that they say.
func TestPhrases(t *testing.T) {
	said := map[string]string{}    // phrase → where
	literal := map[string]string{} // any string in the code, since words come with data
	for _, dir := range []string{"console", "demo", "talk"} {
		sources, err := filepath.Glob(filepath.Join("..", dir, "*.go"))
		if err != nil || len(sources) == 0 {
			t.Fatalf("no code in %s: %v", dir, err)
		}
		for _, name := range sources {
			if !strings.HasSuffix(name, "_test.go") {
				readCode(t, name, said, literal)
			}
		}
		pages, err := filepath.Glob(filepath.Join("..", dir, "templates", "*.html"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range pages {
			readTemplate(t, name, said)
		}
	}
	// Words that come from the ledger: states and actions.
	for _, word := range []string{"running", "finished", "parked", "cancelled", "publish", "promote", "rollback"} {
		said[word] = "the ledger"
	}
	if len(said) < 60 {
		t.Fatalf("only %d phrases found: this test no longer knows how phrases are said", len(said))
	}
	chinese := Chinese()
	verb, letter := regexp.MustCompile(`%[-+# 0]*[\d.]*[a-zA-Z%]`), regexp.MustCompile(`\pL`)
	for phrase, where := range said {
		speaks := letter.MatchString(verb.ReplaceAllString(phrase, ""))
		if _, ok := chinese[phrase]; !ok && speaks {
			t.Errorf("%s: %q has no Chinese", where, phrase)
		}
	}
	for phrase := range chinese {
		if said[phrase] == "" && literal[phrase] == "" {
			t.Errorf("nobody says %q", phrase)
		}
	}
}

// readCode collects every string, and the first arguments of the methods that
// say phrases.
func readCode(t *testing.T, name string, said, literal map[string]string) {
	t.Helper()
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := text(n); ok {
			literal[s] = name
		}
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !slices.Contains([]string{"Sprintf", "line", "heading", "note"}, method.Sel.Name) {
			return true
		}
		if on, ok := method.X.(*ast.Ident); ok && on.Name == "fmt" {
			return true
		}
		if s, ok := text(call.Args[0]); ok {
			said[s] = files.Position(call.Pos()).String()
		}
		return true
	})
}

// text is the value of a string literal.
func text(n ast.Node) (string, bool) {
	lit, ok := n.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

// A template says a phrase with the method T.
const saying = `\.T ("(?:[^"\\]|\\.)*")`

func readTemplate(t *testing.T, name string, said map[string]string) {
	t.Helper()
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(saying).FindAllStringSubmatch(string(page), -1) {
		s, err := strconv.Unquote(m[1])
		if err != nil {
			t.Fatal(err)
		}
		said[s] = name
	}
}
