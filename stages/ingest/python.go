package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/glmflow/glmflow/schemas"
)

// toolCall writes a call the way ChatGLM3 was taught: the tool is the turn's
// name, and the content a fenced Python call whose keywords are the arguments in
// their order. Arguments are a JSON object, or a string that holds one.
func toolCall(name string, arguments json.RawMessage) (schemas.Turn, error) {
	if name == "" || strings.ContainsAny(name, "\r\n") {
		return schemas.Turn{}, fmt.Errorf("calls a tool named %q", name)
	}
	if len(arguments) > 0 && arguments[0] == '"' {
		var inner string
		if err := json.Unmarshal(arguments, &inner); err != nil {
			return schemas.Turn{}, err
		}
		arguments = json.RawMessage(inner)
	}
	if len(arguments) == 0 || string(arguments) == "null" {
		arguments = json.RawMessage("{}")
	}
	dec := json.NewDecoder(strings.NewReader(string(arguments)))
	dec.UseNumber()
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return schemas.Turn{}, fmt.Errorf("calls tool %s with arguments that are no JSON object", name)
	}
	var args []string
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return schemas.Turn{}, fmt.Errorf("arguments of tool %s: %w", name, err)
		}
		if !isIdentifier(key.(string)) {
			return schemas.Turn{}, fmt.Errorf("calls tool %s with an argument named %q, which Python cannot spell", name, key)
		}
		value, err := literal(dec, python)
		if err != nil {
			return schemas.Turn{}, fmt.Errorf("arguments of tool %s: %w", name, err)
		}
		args = append(args, key.(string)+"="+value)
	}
	content := "```python\ntool_call(" + strings.Join(args, ", ") + ")\n```"
	return schemas.Turn{Role: schemas.RoleAssistant, Name: name, Content: content}, nil
}

// observation returns a tool's result as text: a string as it is, anything else
// as the JSON that Python's json.dumps writes, which ChatGLM3 saw.
func observation(raw json.RawMessage) (string, error) {
	if len(raw) == 0 || raw[0] == '"' || raw[0] == 'n' {
		return text(raw)
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	return literal(dec, dumps)
}

// A spelling says how a language writes scalars.
type spelling struct {
	null, yes, no string
	quote         func(string) (string, error)
}

var (
	python = spelling{"None", "True", "False", func(s string) (string, error) { return repr(s), nil }}
	dumps  = spelling{"null", "true", "false", jsonQuote}
)

// literal reads one JSON value from dec and writes it in a spelling, with ", "
// and ": " between.
func literal(dec *json.Decoder, as spelling) (string, error) {
	tok, err := dec.Token()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return "", err
	}
	switch tok := tok.(type) {
	case nil:
		return as.null, nil
	case bool:
		if tok {
			return as.yes, nil
		}
		return as.no, nil
	case json.Number:
		return tok.String(), nil
	case string:
		return as.quote(tok)
	}
	object := tok == json.Delim('{')
	var items []string
	for dec.More() {
		item, err := literal(dec, as)
		if err == nil && object {
			var value string
			value, err = literal(dec, as)
			item += ": " + value
		}
		if err != nil {
			return "", err
		}
		items = append(items, item)
	}
	if _, err := dec.Token(); err != nil {
		return "", err
	}
	body := strings.Join(items, ", ")
	if object {
		return "{" + body + "}", nil
	}
	return "[" + body + "]", nil
}

// jsonQuote quotes s for JSON and escapes nothing that need not be.
func jsonQuote(s string) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(s)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// repr quotes s as Python does: in single quotes, unless it holds one and no
// double quote.
func repr(s string) string {
	quote := '\''
	if strings.ContainsRune(s, '\'') && !strings.ContainsRune(s, '"') {
		quote = '"'
	}
	var b strings.Builder
	b.WriteRune(quote)
	for _, r := range s {
		switch {
		case r == quote || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteRune(quote)
	return b.String()
}

func isIdentifier(s string) bool {
	for i, r := range s {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return false
		}
	}
	return s != ""
}
