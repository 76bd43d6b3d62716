package ingest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A scanner cuts a stream of JSON into values by its brackets, quotes and
// commas, without decoding them: a file of any size is read in the memory of its
// largest record, and a broken value does not hide those behind it.
type scanner struct {
	r     *bufio.Reader
	c     Config
	yield func(record, error) bool
	line  int64 // of the next byte, 1-based

	// Where the scan stands within a value.
	depth    int
	inString bool
	escaped  bool
}

// errStop ends a scan whose reader wants no more.
var errStop = errors.New("stop")

// jsonValues yields the objects of a JSON file: the top-level ones and the
// elements of a top-level array. An object beyond the record limit is taken for
// a container, and what lies in it is yielded.
func jsonValues(r *bufio.Reader, c Config, yield func(record, error) bool) {
	s := scanner{r: r, c: c, yield: yield, line: 1}
	for {
		b, err := s.space()
		if err == nil {
			switch b {
			case '[':
				err = s.elements("")
			case '{':
				err = s.object()
			default:
				err = s.stray(b)
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, errStop) {
				yield(record{}, err)
			}
			return
		}
	}
}

// members yields what lies in an object that is no conversation itself: the
// elements of its arrays, and its objects with their names as keys.
func members(raw []byte, line int64, c Config, yield func(record, error) bool) {
	s := scanner{r: bufio.NewReader(bytes.NewReader(raw)), c: c, yield: yield, line: line}
	if err := s.members(); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errStop) {
		yield(record{}, err)
	}
}

// space passes over white space and returns the byte after it, unread.
func (s *scanner) space() (byte, error) {
	for {
		b, err := s.r.ReadByte()
		if err != nil {
			return 0, err
		}
		switch b {
		case '\n':
			s.line++
		case ' ', '\t', '\r':
		default:
			return b, s.r.UnreadByte()
		}
	}
}

// stray rejects a line that begins with something that is no object.
func (s *scanner) stray(b byte) error {
	lines := lineReader{r: s.r, limit: s.c.RecordBytes, n: s.line - 1}
	text, n, err := lines.next()
	if isFatal(err) {
		return err
	}
	s.line = n + 1
	if err == nil {
		err = &problem{ruleJSON, fmt.Sprintf("the JSON is malformed: %q where an object or an array begins", b), n, text}
	}
	return s.give(record{}, err)
}

func (s *scanner) give(rec record, err error) error {
	if !s.yield(rec, err) {
		return errStop
	}
	return nil
}

// object yields the object that follows, or what is in it if it is too long.
func (s *scanner) object() error {
	line := s.line
	raw, err := s.value()
	switch {
	case isTooLong(err):
		inner := *s
		inner.r, inner.line = bufio.NewReader(io.MultiReader(bytes.NewReader(raw), s.r)), line
		err := inner.members()
		s.r, s.line = inner.r, inner.line
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return s.cutShort(err)
	}
	return s.record(raw, line, "", err)
}

// record yields raw, which began at line, as an object.
func (s *scanner) record(raw []byte, line int64, key string, err error) error {
	if isFatal(err) {
		return err
	}
	var rec record
	if err == nil {
		rec, err = newRecord(raw, line, s.c.Depth)
		rec.key = key
	}
	return s.give(rec, err)
}

// elements yields the elements of the array that follows.
func (s *scanner) elements(key string) error {
	_, _ = s.r.ReadByte() // '['
	for {
		b, err := s.space()
		if err != nil {
			return s.cutShort(err)
		}
		switch b {
		case ']':
			_, _ = s.r.ReadByte()
			return nil
		case ',':
			_, _ = s.r.ReadByte()
		default:
			line := s.line
			raw, err := s.value()
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return s.cutShort(err)
			}
			if err = s.record(raw, line, key, s.pass(err)); err != nil {
				return err
			}
		}
	}
}

// members yields what lies in the object that follows.
func (s *scanner) members() error {
	_, _ = s.r.ReadByte() // '{'
	key := ""
	for {
		b, err := s.space()
		if err != nil {
			return s.cutShort(err)
		}
		switch b {
		case '}':
			_, _ = s.r.ReadByte()
			return nil
		case ',', ':':
			_, _ = s.r.ReadByte()
		case '[':
			err = s.elements("")
		default:
			line := s.line
			raw, verr := s.value()
			switch {
			case errors.Is(verr, io.ErrUnexpectedEOF):
				return s.cutShort(verr)
			case b == '{':
				err = s.record(raw, line, key, s.pass(verr))
			case verr != nil:
				err = s.record(nil, line, key, s.pass(verr))
			default: // a name, or a scalar that is nothing to us
				key = ""
				_ = json.Unmarshal(raw, &key)
			}
		}
		if err != nil {
			return err
		}
	}
}

// cutShort turns the end of the file within a value into a reject.
func (s *scanner) cutShort(err error) error {
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if err := s.give(record{}, &problem{ruleJSON, "the JSON is cut short: the file ends within it", s.line, nil}); err != nil {
		return err
	}
	return io.EOF
}

// value reads the value that follows. One beyond the record limit is a
// [problem]: what was read of it is returned, and the rest is still to come.
func (s *scanner) value() ([]byte, error) {
	s.depth, s.inString, s.escaped = 0, false, false
	line := s.line
	var raw []byte
	err := s.scan(func(b byte) error {
		if raw = append(raw, b); len(raw) > s.c.RecordBytes {
			return &problem{ruleTooLong, fmt.Sprintf("the JSON value is longer than %d bytes", s.c.RecordBytes), line, raw[:maxSample]}
		}
		return nil
	})
	return raw, err
}

// pass passes over the rest of a value that err says is too long, and returns
// err unless that fails.
func (s *scanner) pass(err error) error {
	if isTooLong(err) {
		if err := s.scan(func(byte) error { return nil }); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
	}
	return err
}

func isTooLong(err error) bool {
	var p *problem
	return errors.As(err, &p) && p.rule == ruleTooLong
}

// scan hands the bytes up to the end of the current value to take, until that
// returns an error.
func (s *scanner) scan(take func(byte) error) error {
	for {
		b, err := s.r.ReadByte()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return io.ErrUnexpectedEOF
			}
			return err
		}
		done := false
		switch {
		case s.escaped:
			s.escaped = false
		case s.inString && b == '\\':
			s.escaped = true
		case b == '"':
			s.inString = !s.inString
			done = !s.inString && s.depth == 0
		case s.inString:
		case b == '{' || b == '[':
			s.depth++
		case s.depth > 0 && (b == '}' || b == ']'):
			s.depth--
			done = s.depth == 0
		case s.depth == 0 && bytes.IndexByte([]byte(" \t\r\n,:]}"), b) >= 0: // behind a number or a word
			return s.r.UnreadByte()
		}
		if b == '\n' {
			s.line++
		}
		if err := take(b); err != nil || done {
			return err
		}
	}
}
