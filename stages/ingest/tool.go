package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/glmflow/glmflow/gpu/chatglm/chat"
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
	content, err := chat.FormatCall(arguments)
	if err != nil {
		return schemas.Turn{}, fmt.Errorf("calls tool %s: %w", name, err)
	}
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
	return dumps(dec)
}

// dumps reads one JSON value from dec and writes it with ", " and ": " between,
// characters as they are.
func dumps(dec *json.Decoder) (string, error) {
	tok, err := dec.Token()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return "", err
	}
	delim, nested := tok.(json.Delim)
	if !nested {
		return scalar(tok)
	}
	var items []string
	for dec.More() {
		item, err := dumps(dec)
		if err == nil && delim == '{' {
			var value string
			value, err = dumps(dec)
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
	if delim == '{' {
		return "{" + body + "}", nil
	}
	return "[" + body + "]", nil
}

// scalar writes null, a number, a boolean or a string and escapes nothing that
// need not be.
func scalar(v any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}
