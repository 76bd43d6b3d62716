package ingest

import (
	"os"
	"strings"
	"testing"

	"github.com/glmflow/glmflow/schemas"
)

func TestReadCallsInTheOrderOfTheFile(t *testing.T) {
	text := `{"id":"a","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}]}
{"broken
{"id":"b","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"bye"}]}
`
	var got []string
	err := Read(strings.NewReader(text), "a.jsonl", nil, DefaultConfig(),
		func(d schemas.Dialogue) error { got = append(got, d.Origin.Key); return nil },
		func(r schemas.Reject) error { got = append(got, r.Rule); return nil })
	if want := "a malformed-json b"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("read %q (%v), want %q", got, err, want)
	}
}

// TestThePageNamesAll: docs/formats/logs.md names every format and every rule.
func TestThePageNamesAll(t *testing.T) {
	page, err := os.ReadFile("../../docs/formats/logs.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := []string{
		ruleEmptyFile, ruleDuplicateFile, ruleUnsafeName, ruleBinaryFile, ruleUnknownFile, ruleUTF8, ruleTooLong,
		ruleTooDeep, ruleJSON, ruleCSV, ruleRecord, ruleSender, ruleTable,
	}
	for _, name := range append(rules, Formats()...) {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/formats/logs.md does not name %s", name)
		}
	}
}
