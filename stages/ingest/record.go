package ingest

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A record is one unit of a file: an object of JSON, or a row of a table as an
// object of strings.
type record struct {
	line   int64    // 1-based, where it begins
	key    string   // the name of the member it stood under, "" if none
	raw    []byte   // as it stood, in UTF-8
	names  []string // of a table's columns, nil for JSON
	fields map[string]json.RawMessage
}

// A problem is why a piece of input was not read. It becomes a reject.
type problem struct {
	rule   string // "malformed-json"
	reason string // a sentence for people
	line   int64
	raw    []byte // what was not read, or the beginning of it
}

func (p *problem) Error() string { return fmt.Sprintf("line %d: %s", p.line, p.reason) }

// Rules of rejects.
const (
	ruleEmptyFile     = "empty-file"
	ruleDuplicateFile = "duplicate-file"
	ruleUnsafeName    = "unsafe-name"
	ruleBinaryFile    = "binary-file"
	ruleUnknownFile   = "unknown-layout"
	ruleUTF8          = "invalid-utf8"
	ruleTooLong       = "too-long"
	ruleTooDeep       = "too-deep"
	ruleJSON          = "malformed-json"
	ruleCSV           = "malformed-row"
	ruleRecord        = "unreadable-conversation"
	ruleSender        = "unknown-sender"
	ruleTable         = "table-too-large"
)

// newRecord reads raw as one JSON object.
func newRecord(raw []byte, line int64, depth int) (record, error) {
	if err := checkText(raw, line); err != nil {
		return record{}, err
	}
	if d := nesting(raw); d > depth {
		return record{}, &problem{ruleTooDeep, fmt.Sprintf("the JSON is nested %d deep, at most %d is read", d, depth), line, raw}
	}
	rec := record{line: line, raw: raw}
	if err := json.Unmarshal(raw, &rec.fields); err != nil {
		reason := "the JSON is malformed: " + strings.TrimPrefix(err.Error(), "json: ")
		if json.Valid(raw) {
			reason = "the JSON is no object"
		}
		return record{}, &problem{ruleJSON, reason, line, raw}
	}
	if rec.fields == nil { // null
		return record{}, &problem{ruleJSON, "the JSON is no object", line, raw}
	}
	return rec, nil
}

// checkText reports bytes that are no UTF-8.
func checkText(raw []byte, line int64) error {
	if utf8.Valid(raw) {
		return nil
	}
	at := 0
	for at < len(raw) {
		r, n := utf8.DecodeRune(raw[at:])
		if r == utf8.RuneError && n <= 1 {
			break
		}
		at += n
	}
	return &problem{ruleUTF8, fmt.Sprintf("byte %d of the record is no UTF-8 (0x%02x); convert the file", at+1, raw[at]), line, raw}
}

// nesting returns how deep the arrays and objects of raw are nested.
func nesting(raw []byte) int {
	deepest, depth, inString := 0, 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

// maxSample is the length of Reject.Sample in bytes.
const maxSample = 512

// sample returns the beginning of raw as valid UTF-8.
func sample(raw []byte) string {
	cut := raw[:min(len(raw), maxSample)]
	for len(cut) > 0 && len(cut) < len(raw) && !utf8.RuneStart(raw[len(cut)]) {
		cut = cut[:len(cut)-1]
	}
	return strings.ToValidUTF8(string(cut), "?")
}
