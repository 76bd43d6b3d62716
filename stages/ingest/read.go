package ingest

import (
	"io"

	"github.com/glmflow/glmflow/schemas"
)

// Read reads one file outside the flow, as the stage does: what is wrong with
// its content is rejected, and the error is one of r, of dialogue or of reject.
// They are called in the order of the file; only the conversations of a ticket
// table come at its end. name is for origins, and its ending decides where the
// content leaves a doubt; a nil mapping recognises the layout.
func Read(r io.Reader, name string, m *Mapping, c Config, dialogue func(schemas.Dialogue) error, reject func(schemas.Reject) error) error {
	f := &file{c: c, mapping: m, source: schemas.Source{Name: name}, out: calls{dialogue, reject}}
	return f.read(r)
}

// calls is a sink of two functions.
type calls struct {
	onDialogue func(schemas.Dialogue) error
	onReject   func(schemas.Reject) error
}

func (c calls) dialogue(d schemas.Dialogue) error { return c.onDialogue(d) }
func (c calls) reject(r schemas.Reject) error     { return c.onReject(r) }
