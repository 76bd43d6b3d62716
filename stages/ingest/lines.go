package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// A lineReader reads lines of bounded length.
type lineReader struct {
	r     *bufio.Reader
	limit int
	n     int64    // lines read
	back  [][]byte // lines given back, the next one last
}

// next returns the next line without its end and its number. A line beyond the
// limit is passed over to its end and is a [problem]. At the end of the file it
// returns io.EOF.
func (l *lineReader) next() (line []byte, n int64, err error) {
	l.n++
	if k := len(l.back); k > 0 {
		line, l.back = l.back[k-1], l.back[:k-1]
		return line, l.n, nil
	}
	for {
		part, err := l.r.ReadSlice('\n')
		if len(line)+len(part) > l.limit {
			begin := bytes.Clone(append(line, part...)[:maxSample])
			if err := l.skip(err); err != nil {
				return nil, l.n, err
			}
			return nil, l.n, &problem{ruleTooLong, fmt.Sprintf("the line is longer than %d bytes", l.limit), l.n, begin}
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimRight(line, "\r\n"), l.n, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			return line, l.n, nil
		default:
			l.n--
			return nil, l.n, err
		}
	}
}

// skip passes over the rest of a line whose last part ended with err.
func (l *lineReader) skip(err error) error {
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = l.r.ReadSlice('\n')
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// giveBack returns lines to be read again, after the one before them.
func (l *lineReader) giveBack(lines [][]byte) {
	for i := len(lines) - 1; i >= 0; i-- {
		l.back = append(l.back, lines[i])
	}
	l.n -= int64(len(lines))
}

// jsonLines yields one record a line. Empty lines are passed over.
func jsonLines(r *bufio.Reader, c Config, yield func(record, error) bool) {
	lines := lineReader{r: r, limit: c.RecordBytes}
	for {
		line, n, err := lines.next()
		if errors.Is(err, io.EOF) {
			return
		}
		var rec record
		if err == nil {
			if line = bytes.TrimSpace(line); len(line) == 0 {
				continue
			}
			rec, err = newRecord(line, n, c.Depth)
		}
		if !yield(rec, err) || isFatal(err) {
			return
		}
	}
}

// isFatal reports whether err ends the reading of a file: it is none of the
// content.
func isFatal(err error) bool {
	var p *problem
	return err != nil && !errors.As(err, &p)
}
