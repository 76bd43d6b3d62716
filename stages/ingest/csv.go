package ingest

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxRowLines bounds how many lines a quoted field may span, so that a quote
// that is never closed costs its own line and not the rest of the file.
const maxRowLines = 1000

// rows yields the rows of a table as records whose fields bear the names of the
// header. In CSV (RFC 4180) a quoted field may hold separators and line ends; in
// TSV a row is a line. A row with more or fewer fields than the header is a
// [problem].
func rows(r *bufio.Reader, comma rune, c Config, yield func(record, error) bool) {
	lines := lineReader{r: r, limit: c.RecordBytes}
	var header []string
	for {
		fields, raw, n, err := nextRow(&lines, comma)
		if errors.Is(err, io.EOF) {
			return
		}
		var rec record
		switch {
		case err != nil:
		case len(bytes.TrimSpace(raw)) == 0:
			continue
		case header == nil:
			for i, f := range fields {
				fields[i] = strings.TrimSpace(f)
			}
			header = fields
			continue
		case len(fields) != len(header):
			err = &problem{ruleCSV, fmt.Sprintf("the row has %d fields, the header %d", len(fields), len(header)), n, raw}
		default:
			rec, err = rowRecord(header, fields, raw, n)
		}
		if !yield(rec, err) || isFatal(err) {
			return
		}
	}
}

// nextRow reads the lines of one row and splits them.
func nextRow(lines *lineReader, comma rune) (fields []string, raw []byte, n int64, err error) {
	raw, n, err = lines.next()
	if err != nil {
		return nil, nil, n, err
	}
	raw = bytes.Clone(raw)
	if err := checkText(raw, n); err != nil {
		return nil, raw, n, err
	}
	if comma == '\t' {
		return splitTabs(string(raw)), raw, n, nil
	}
	malformed := func(reason string, more [][]byte) ([]string, []byte, int64, error) {
		lines.giveBack(more)
		return nil, raw, n, &problem{ruleCSV, "the row is malformed: " + reason, n, raw}
	}
	row, quotes := bytes.Clone(raw), bytes.Count(raw, []byte{'"'})
	var more [][]byte
	for quotes%2 == 1 {
		line, at, err := lines.next()
		switch {
		case errors.Is(err, io.EOF), err == nil && (len(more) == maxRowLines || len(row)+len(line) > lines.limit):
			if err == nil {
				more = append(more, bytes.Clone(line))
			}
			return malformed("a quoted field is never closed", more)
		case isFatal(err):
			return nil, raw, n, err
		case err != nil:
			return malformed(fmt.Sprintf("line %d of its quoted field is longer than %d bytes", at, lines.limit), more)
		}
		more = append(more, bytes.Clone(line))
		row = append(append(row, '\n'), line...)
		quotes += bytes.Count(line, []byte{'"'})
	}
	if fields, err = splitRow(row, comma); err != nil {
		return malformed(err.Error(), more)
	}
	return fields, row, n, checkText(row, n)
}

// splitRow splits the text of exactly one CSV row.
func splitRow(row []byte, comma rune) ([]string, error) {
	cr := csv.NewReader(bytes.NewReader(row))
	cr.Comma = comma
	fields, err := cr.Read()
	var at *csv.ParseError
	switch {
	case errors.Is(err, io.EOF): // nothing but line ends
		return []string{""}, nil
	case errors.As(err, &at):
		return nil, fmt.Errorf("%w at column %d", at.Err, at.Column)
	}
	return fields, err
}

// splitTabs splits a line of TSV. Programs that quote a field there do so as in
// CSV.
func splitTabs(line string) []string {
	fields := strings.Split(line, "\t")
	for i, f := range fields {
		if len(f) >= 2 && f[0] == '"' && f[len(f)-1] == '"' {
			fields[i] = strings.ReplaceAll(f[1:len(f)-1], `""`, `"`)
		}
	}
	return fields
}

// rowRecord names the fields of a row. Empty fields are left out.
func rowRecord(header, fields []string, raw []byte, line int64) (record, error) {
	rec := record{line: line, raw: raw, names: header, fields: make(map[string]json.RawMessage, len(fields))}
	for i, f := range fields {
		if f == "" {
			continue
		}
		value, err := json.Marshal(f)
		if err != nil {
			return rec, fmt.Errorf("line %d: %w", line, err)
		}
		rec.fields[header[i]] = value
	}
	return rec, nil
}
