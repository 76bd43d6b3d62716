package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A call is written as a fenced block of Python with one line in it.
const (
	fenceOpen  = "```python\n"
	fenceClose = "\n```"
	callOpen   = "tool_call("
)

// maxDepth bounds the nesting of tools and of a call's arguments.
const maxDepth = 64

// FormatCall writes the arguments of a tool call, a JSON object, as the content
// of an assistant message: tool_call(name=value, …) in a fence, the arguments in
// their order, the values as Python spells them.
func FormatCall(arguments json.RawMessage) (string, error) {
	dec := json.NewDecoder(strings.NewReader(string(arguments)))
	dec.UseNumber()
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return "", errors.New("tool call: want a JSON object of arguments")
	}
	var b strings.Builder
	b.WriteString(fenceOpen + callOpen)
	for sep := ""; dec.More(); sep = ", " {
		tok, err := dec.Token()
		if err != nil {
			return "", fmt.Errorf("tool call: %w", err)
		}
		name, ok := tok.(string)
		if !ok || !isIdentifier(name) {
			return "", fmt.Errorf("tool call: %q cannot be the name of an argument", tok)
		}
		b.WriteString(sep + name + "=")
		if err := writeLiteral(&b, dec, 1); err != nil {
			return "", fmt.Errorf("tool call: argument %s: %w", name, err)
		}
	}
	if _, err := dec.Token(); err != nil {
		return "", fmt.Errorf("tool call: %w", err)
	}
	if dec.More() {
		return "", errors.New("tool call: something follows the JSON object")
	}
	b.WriteString(")" + fenceClose)
	return b.String(), nil
}

// ParseCall reads the content of an assistant message that calls a tool: it
// drops the first and the last line, the fence, and returns the arguments of the
// tool_call between them as a JSON object in the same order. The arguments must
// be Python literals; names, operators and calls are errors.
func ParseCall(content string) (json.RawMessage, error) {
	_, body, ok := strings.Cut(strings.TrimSpace(content), "\n")
	last := strings.LastIndexByte(body, '\n')
	if !ok || last < 0 {
		return nil, errors.New("tool call: want a fenced block")
	}
	p := parser{rest: strings.TrimSpace(body[:last])}
	if !p.take(callOpen) {
		return nil, errors.New("tool call: want tool_call(name=value, …)")
	}
	p.out.WriteByte('{')
	for p.skip(); !p.take(")"); p.skip() {
		name := p.identifier()
		if p.skip(); name == "" || !p.take("=") {
			return nil, fmt.Errorf("tool call: want name=value at %s", p.here())
		}
		if p.out.Len() > 1 {
			p.out.WriteByte(',')
		}
		p.key(name)
		if err := p.value(1); err != nil {
			return nil, fmt.Errorf("tool call: argument %s: %w", name, err)
		}
		if p.skip(); !p.take(",") && !strings.HasPrefix(p.rest, ")") {
			return nil, fmt.Errorf("tool call: want , or ) at %s", p.here())
		}
	}
	if p.rest != "" {
		return nil, fmt.Errorf("tool call: something follows it: %s", p.here())
	}
	p.out.WriteByte('}')
	return json.RawMessage(p.out.String()), nil
}

func isIdentifier(s string) bool {
	for i, r := range s {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return false
		}
	}
	return s != "" && utf8.ValidString(s)
}
