package schemas_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/schemas/arrowio"
	"github.com/glmflow/glmflow/schemas/parquetio"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/*.schema anew where the change is allowed")

// Every kind's schema is the one in testdata, or that with nullable columns
// appended. -rewrite records such an addition and nothing else: for any other
// change there is no flag, because files that lie at rest would stop reading.
func TestSchemasOnlyGrow(t *testing.T) {
	for _, kind := range schemas.DataKinds() {
		t.Run(string(kind), func(t *testing.T) {
			codec, err := parquetio.CodecOf(kind)
			if err != nil {
				t.Fatal(err)
			}
			current := arrowio.Text(codec.Schema())
			path := filepath.Join("testdata", string(kind)+".schema")
			golden, err := os.ReadFile(path)
			if err != nil && !(*rewrite && os.IsNotExist(err)) {
				t.Fatal(err)
			}
			if err == nil {
				if err := grows(string(golden), current); err != nil {
					t.Fatalf("%s: %v; a row may only grow by a nullable column at its end", path, err)
				}
			}
			if current == string(golden) {
				return
			}
			if !*rewrite {
				t.Fatalf("%s lacks an appended column; run go test ./schemas -rewrite and raise Kind.Version", path)
			}
			if err := os.WriteFile(path, []byte(current), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestGrows(t *testing.T) {
	const old = "id: utf8\nturns: list struct\n  role: utf8\norigin: struct\n  line: int64\n"
	for name, c := range map[string]struct {
		next string
		want string // part of the error, "" for none
	}{
		"same":             {old, ""},
		"appended":         {old + "score: float64?\n", ""},
		"appended nested":  {strings.Replace(old, "role: utf8\n", "role: utf8\n  mood: utf8?\n", 1), ""},
		"appended struct":  {old + "more: struct?\n  a: int64\n", ""},
		"required":         {old + "score: float64\n", "score: float64 is not nullable"},
		"required nested":  {strings.Replace(old, "role: utf8\n", "role: utf8\n  mood: utf8\n", 1), "mood: utf8 is not nullable"},
		"renamed":          {strings.Replace(old, "id:", "key:", 1), "key: utf8 stands where id: utf8 was"},
		"other type":       {strings.Replace(old, "int64", "int32", 1), "line: int32 stands where line: int64 was"},
		"became nullable":  {strings.Replace(old, "id: utf8", "id: utf8?", 1), "id: utf8? stands where id: utf8 was"},
		"inserted":         {"new: utf8?\n" + old, "new: utf8? stands where id: utf8 was"},
		"removed":          {"id: utf8\nturns: list struct\n  role: utf8\n", "origin: struct is gone"},
		"removed nested":   {strings.Replace(old, "  line: int64\n", "", 1), "line: int64 is gone"},
		"moved to nesting": {strings.Replace(old, "origin", "  origin", 1), "origin"},
	} {
		t.Run(name, func(t *testing.T) {
			err := grows(old, c.next)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A node is one column of a textual schema.
type node struct {
	text     string
	children []*node
}

// parse reads a textual schema: nesting is two spaces a level.
func parse(text string) *node {
	root := &node{}
	path := []*node{root}
	for line := range strings.Lines(text) {
		name := strings.TrimLeft(line, " ")
		depth := min((len(line)-len(name))/2, len(path)-1)
		n := &node{text: strings.TrimSpace(name)}
		parent := path[depth]
		parent.children = append(parent.children, n)
		path = append(path[:depth+1], n)
	}
	return root
}

// grows reports why next is not old with nullable columns appended.
func grows(old, next string) error { return parse(old).grow(parse(next)) }

func (n *node) grow(next *node) error {
	for i, was := range n.children {
		if i == len(next.children) {
			return fmt.Errorf("%s is gone", was.text)
		}
		is := next.children[i]
		if is.text != was.text {
			return fmt.Errorf("%s stands where %s was", is.text, was.text)
		}
		if err := was.grow(is); err != nil {
			return err
		}
	}
	for _, added := range next.children[len(n.children):] {
		if !strings.HasSuffix(added.text, "?") {
			return fmt.Errorf("%s is not nullable", added.text)
		}
	}
	return nil
}
