package talk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Lines reads messages from a pipe: one a line; a line that ends with a
// backslash goes on in the next.
type Lines struct {
	scanner    *bufio.Scanner
	interrupts <-chan os.Signal
}

type line struct {
	text string
	err  error
}

// maxMessage is the longest line that is read, in bytes.
const maxMessage = 4 << 20

// NewLines reads from r. A signal on interrupts while it waits is the end.
func NewLines(r io.Reader, interrupts <-chan os.Signal) *Lines {
	l := &Lines{scanner: bufio.NewScanner(r), interrupts: interrupts}
	l.scanner.Buffer(nil, maxMessage)
	return l
}

// Read implements [Reader]. Reading a pipe cannot be interrupted, so another
// goroutine does it; it ends with the input.
func (l *Lines) Read(ctx context.Context, _ string) (string, error) {
	got := make(chan line, 1)
	go func() {
		text, err := l.next()
		got <- line{text, err}
	}()
	select {
	case next := <-got:
		return next.text, next.err
	case <-l.interrupts:
		return "", io.EOF
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (l *Lines) next() (string, error) {
	var parts []string
	for l.scanner.Scan() {
		text, more := strings.CutSuffix(l.scanner.Text(), `\`)
		parts = append(parts, text)
		if !more {
			break
		}
	}
	switch err := l.scanner.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return "", fmt.Errorf("a line is longer than %d bytes", maxMessage)
	case err != nil:
		return "", err
	case len(parts) == 0:
		return "", io.EOF
	}
	return strings.Join(parts, "\n"), nil
}
