package ingest

import (
	"errors"
	"io"
	"strings"

	"github.com/glmflow/glmflow/schemas"
)

// Recognise reads from r, a file of the given name, until the first conversation
// and returns "". Where there is none it returns the first reason that the stage
// would keep. The mapping may be nil; an error is one of r.
func Recognise(c Config, m *Mapping, name string, r io.Reader) (reason string, err error) {
	first := firstOf{reason: name + ": it holds no record"}
	f := &file{c: c, mapping: m, source: schemas.Source{Name: name}, out: &first}
	if err := f.read(r); errors.Is(err, errFound) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	if !strings.HasPrefix(first.reason, name) { // it is one of a record
		first.reason = name + ": " + first.reason
	}
	return first.reason, nil
}

// errFound ends reading at the first conversation.
var errFound = errors.New("found")

// firstOf is a sink that wants one conversation, and until then a reason.
type firstOf struct {
	reason string
	told   bool
}

func (*firstOf) dialogue(schemas.Dialogue) error { return errFound }

func (s *firstOf) reject(r schemas.Reject) error {
	if !s.told {
		s.reason, s.told = r.Reason, true
	}
	return nil
}
