package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

var errDepth = fmt.Errorf("nested more than %d deep", maxDepth)

// writeLiteral writes the next JSON value of dec as Python's repr does.
func writeLiteral(b *strings.Builder, dec *json.Decoder, depth int) error {
	if depth > maxDepth {
		return errDepth
	}
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	switch v := tok.(type) {
	case nil:
		b.WriteString("None")
	case bool:
		b.WriteString(map[bool]string{true: "True", false: "False"}[v])
	case string:
		writeString(b, v)
	case json.Number:
		return writeNumber(b, v.String())
	case json.Delim:
		b.WriteString(v.String())
		for sep := ""; dec.More(); sep = ", " {
			b.WriteString(sep)
			if v == '{' {
				key, err := dec.Token()
				if err != nil {
					return err
				}
				writeString(b, key.(string)) // the decoder accepts nothing else as a key
				b.WriteString(": ")
			}
			if err := writeLiteral(b, dec, depth+1); err != nil {
				return err
			}
		}
		end, err := dec.Token()
		if err != nil {
			return err
		}
		b.WriteString(end.(json.Delim).String())
	}
	return nil
}

// writeString prefers single quotes, and escapes what is not printable.
func writeString(b *strings.Builder, s string) {
	quote := '\''
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b.WriteRune(quote)
	for _, r := range s {
		switch {
		case r == quote, r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r <= 0xff:
			fmt.Fprintf(b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			fmt.Fprintf(b, `\U%08x`, r)
		}
	}
	b.WriteRune(quote)
}

// writeNumber writes a JSON number as Python does after reading it: integers as
// they are, others with the fewest digits that mean the same, and with an exponent
// only below 1e-4 and from 1e16.
func writeNumber(b *strings.Builder, s string) error {
	if s == "-0" { // an integer has no negative zero
		s = "0"
	}
	if !strings.ContainsAny(s, ".eE") {
		b.WriteString(s)
		return nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return fmt.Errorf("number %s is out of range", s)
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		b.WriteString(strconv.FormatFloat(f, 'e', -1, 64))
		return nil
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	b.WriteString(text)
	return nil
}

// A parser reads Python literals and writes them as JSON.
type parser struct {
	rest string
	out  strings.Builder
}

func (p *parser) skip() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

func (p *parser) take(s string) (ok bool) {
	p.rest, ok = strings.CutPrefix(p.rest, s)
	return ok
}

// here shows where the parser stands.
func (p *parser) here() string {
	if p.rest == "" {
		return "the end"
	}
	if len(p.rest) > 20 {
		return strconv.Quote(p.rest[:20]) + "…"
	}
	return strconv.Quote(p.rest)
}

func (p *parser) identifier() string {
	end := len(p.rest)
	for i, r := range p.rest {
		if !isIdentifier("_" + string(r)) {
			end = i
			break
		}
	}
	name := p.rest[:end]
	if !isIdentifier(name) {
		return ""
	}
	p.rest = p.rest[end:]
	return name
}

func (p *parser) key(s string) {
	p.string(s)
	p.out.WriteByte(':')
}

func (p *parser) string(s string) {
	w := jsonWriter{}
	w.string(s)
	p.out.WriteString(w.out.String())
}

func (p *parser) value(depth int) error {
	if depth > maxDepth {
		return errDepth
	}
	p.skip()
	if p.rest == "" {
		return errors.New("want a value at the end")
	}
	switch c := p.rest[0]; {
	case c == '\'' || c == '"':
		s, err := p.quoted()
		if err == nil {
			p.string(s)
		}
		return err
	case c == '[' || c == '(':
		return p.list(map[byte]string{'[': "]", '(': ")"}[c], depth)
	case c == '{':
		return p.dict(depth)
	case c == '-' || c == '+' || c == '.' || c >= '0' && c <= '9':
		return p.number()
	}
	at := p.here()
	word := p.identifier()
	text, ok := map[string]string{"None": "null", "True": "true", "False": "false"}[word]
	if !ok {
		return fmt.Errorf("want a literal at %s", at)
	}
	p.out.WriteString(text)
	return nil
}

// list reads a list or a tuple; JSON has lists alone.
func (p *parser) list(closing string, depth int) error {
	p.rest = p.rest[1:]
	p.out.WriteByte('[')
	for n := 0; ; n++ {
		if p.skip(); p.take(closing) {
			p.out.WriteByte(']')
			return nil
		}
		if n > 0 {
			p.out.WriteByte(',')
		}
		if err := p.value(depth + 1); err != nil {
			return err
		}
		if err := p.separator(closing); err != nil {
			return err
		}
	}
}

func (p *parser) dict(depth int) error {
	p.rest = p.rest[1:]
	p.out.WriteByte('{')
	for n := 0; ; n++ {
		if p.skip(); p.take("}") {
			p.out.WriteByte('}')
			return nil
		}
		if n > 0 {
			p.out.WriteByte(',')
		}
		if p.rest == "" || p.rest[0] != '\'' && p.rest[0] != '"' {
			return fmt.Errorf("want a string as key at %s", p.here())
		}
		key, err := p.quoted()
		if err != nil {
			return err
		}
		if p.skip(); !p.take(":") {
			return fmt.Errorf("want : at %s", p.here())
		}
		p.key(key)
		if err := p.value(depth + 1); err != nil {
			return err
		}
		if err := p.separator("}"); err != nil {
			return err
		}
	}
}

// separator reads a comma, or leaves the closing bracket for its reader.
func (p *parser) separator(closing string) error {
	if p.skip(); !p.take(",") && !strings.HasPrefix(p.rest, closing) {
		return fmt.Errorf("want , or %s at %s", closing, p.here())
	}
	return nil
}

func (p *parser) number() error {
	end := strings.IndexFunc(p.rest, func(r rune) bool { return !strings.ContainsRune("+-.eE0123456789", r) })
	if end < 0 {
		end = len(p.rest)
	}
	text := p.rest[:end]
	p.rest = p.rest[end:]
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return fmt.Errorf("%q is no number", text)
	}
	if json.Valid([]byte(text)) { // most keep their spelling; 1., .5 and +1 are Python's alone
		p.out.WriteString(text)
		return nil
	}
	out, err := json.Marshal(f)
	p.out.Write(out)
	return err
}

// quoted reads a string in either quotes with Python's escapes.
func (p *parser) quoted() (string, error) {
	quote := rune(p.rest[0])
	p.rest = p.rest[1:]
	var b strings.Builder
	for p.rest != "" {
		r, n := utf8.DecodeRuneInString(p.rest)
		switch {
		case r == quote:
			p.rest = p.rest[n:]
			return b.String(), nil
		case r == '\n':
			return "", errors.New("a string ends at the end of its line")
		case r != '\\':
			p.rest = p.rest[n:]
			b.WriteRune(r)
		case strings.HasPrefix(p.rest, `\'`), strings.HasPrefix(p.rest, `\"`):
			b.WriteByte(p.rest[1])
			p.rest = p.rest[2:]
		default:
			c, _, tail, err := strconv.UnquoteChar(p.rest, 0)
			if err != nil && len(p.rest) > 1 && !strings.ContainsRune("xuU01234567", rune(p.rest[1])) {
				c, tail, err = '\\', p.rest[1:], nil // Python keeps the backslash of an escape it does not know
			}
			if err != nil {
				return "", fmt.Errorf("bad escape at %s", p.here())
			}
			p.rest = tail
			b.WriteRune(c)
		}
	}
	return "", errors.New("a string is not closed")
}
