package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// indentTools rewrites a JSON list the way ChatGLM3 saw tools in training, which
// is Python's json.dumps(indent=4, ensure_ascii=False): four spaces, the keys in
// their order, nothing escaped beyond what JSON demands, empty containers
// closed at once, numbers in Python's spelling. An empty list gives "".
func indentTools(tools string) (string, error) {
	if strings.TrimSpace(tools) == "" {
		return "", nil
	}
	dec := json.NewDecoder(strings.NewReader(tools))
	dec.UseNumber()
	w := jsonWriter{}
	for first := true; ; first = false {
		tok, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", fmt.Errorf("tools: %w", err)
		}
		if first && tok != json.Delim('[') {
			return "", errors.New("tools: want a JSON list of tool definitions")
		}
		if !first && len(w.open) == 0 {
			return "", errors.New("tools: something follows the JSON list")
		}
		if err := w.token(tok); err != nil {
			return "", fmt.Errorf("tools: %w", err)
		}
	}
	if len(w.open) > 0 {
		return "", fmt.Errorf("tools: %w", io.ErrUnexpectedEOF)
	}
	if w.out.String() == "[]" {
		return "", nil
	}
	return w.out.String(), nil
}

// A jsonWriter writes a stream of JSON tokens with indentation.
type jsonWriter struct {
	out  strings.Builder
	open []level
}

// A level is a list or an object that is being written.
type level struct {
	object bool
	n      int // tokens in it, keys included
}

func (w *jsonWriter) token(tok json.Token) error {
	if d, ok := tok.(json.Delim); ok && (d == ']' || d == '}') {
		top := w.open[len(w.open)-1]
		w.open = w.open[:len(w.open)-1]
		if top.n > 0 {
			w.line()
		}
		w.out.WriteString(d.String())
		return nil
	}
	if n := len(w.open); n > 0 {
		top := &w.open[n-1]
		switch {
		case top.object && top.n%2 == 1:
			w.out.WriteString(": ")
		case top.n > 0:
			w.out.WriteByte(',')
			w.line()
		default:
			w.line()
		}
		top.n++
	}
	switch v := tok.(type) {
	case json.Delim:
		if len(w.open) == maxDepth { // the indentation grows with the square of the depth
			return errDepth
		}
		w.open = append(w.open, level{object: v == '{'})
		w.out.WriteString(v.String())
	case string:
		w.string(v)
	case json.Number:
		return writeNumber(&w.out, v.String())
	case bool:
		fmt.Fprint(&w.out, v)
	case nil:
		w.out.WriteString("null")
	}
	return nil
}

func (w *jsonWriter) line() {
	w.out.WriteByte('\n')
	for range w.open {
		w.out.WriteString("    ")
	}
}

// string quotes s as Python does: unlike encoding/json it leaves <, >, & and
// U+2028 as they are, and knows \b and \f.
func (w *jsonWriter) string(s string) {
	w.out.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"', r == '\\':
			w.out.WriteByte('\\')
			w.out.WriteRune(r)
		case r >= ' ':
			w.out.WriteRune(r)
		case strings.ContainsRune("\b\f\n\r\t", r):
			w.out.WriteByte('\\')
			w.out.WriteByte("btn_fr"[r-'\b'])
		default:
			fmt.Fprintf(&w.out, `\u%04x`, r)
		}
	}
	w.out.WriteByte('"')
}
