package arrowio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// errMetadata is what flatbuffers that point outside themselves are answered.
var errMetadata = errors.New("broken metadata")

// Slots of the flatbuffer tables in Message.fbs and Schema.fbs of the Arrow
// format: the position of a field in its table.
const (
	messageHeaderType = 1 // 1 is Schema
	messageHeader     = 2
	messageBodyLength = 3
	messageMetadata   = 4
	schemaFields      = 1
	schemaMetadata    = 2
	fieldChildren     = 5
	fieldMetadata     = 6
)

// maxFields and maxNesting bound the columns of a stream, nested ones included.
const (
	maxFields  = 4096
	maxNesting = 32
)

// checkFrames walks the messages of a stream without decoding them, because
// Arrow's reader allocates the lengths it is told before it looks for the bytes.
// A message is the token 0xFFFFFFFF, an int32 length, as many bytes of metadata,
// and a body whose length the metadata tells; length 0 ends the stream.
func checkFrames(data []byte) error {
	for at := 0; ; {
		if len(data)-at < 8 {
			return fmt.Errorf("cut short at byte %d", at)
		}
		if binary.LittleEndian.Uint32(data[at:]) != math.MaxUint32 {
			return fmt.Errorf("no message at byte %d", at)
		}
		n := int64(int32(binary.LittleEndian.Uint32(data[at+4:])))
		at += 8
		if n == 0 {
			return nil
		}
		if n < 0 || n > int64(len(data)-at) {
			return fmt.Errorf("metadata of %d bytes at byte %d", n, at)
		}
		body, err := checkMessage(data[at : at+int(n)])
		if err != nil {
			return fmt.Errorf("message at byte %d: %w", at, err)
		}
		at += int(n)
		if body < 0 || body > int64(len(data)-at) {
			return fmt.Errorf("body of %d bytes at byte %d", body, at)
		}
		at += int(body)
	}
}

// checkMessage returns the body length of a message and, if it is a schema,
// checks that its lists of fields and metadata fit into it.
func checkMessage(b []byte) (body int64, err error) {
	m, err := follow(b, 0)
	if err != nil {
		return 0, err
	}
	if at, err := m.field(messageBodyLength, 8); err != nil {
		return 0, err
	} else if at > 0 {
		body = int64(binary.LittleEndian.Uint64(b[at:]))
	}
	if _, err := m.vector(messageMetadata); err != nil {
		return 0, err
	}
	kind, err := m.field(messageHeaderType, 1)
	if err != nil || kind == 0 || b[kind] != 1 {
		return body, err
	}
	at, err := m.field(messageHeader, 4)
	if err != nil || at == 0 {
		return 0, errMetadata
	}
	schema, err := follow(b, at)
	if err != nil {
		return 0, err
	}
	left := maxFields
	return body, schema.checkFields(schemaFields, schemaMetadata, maxNesting, &left)
}

// A table is a flatbuffer table: a signed offset to its vtable, then its fields.
// The vtable has two uint16 lengths and the offset of every field, 0 if absent.
type table struct {
	b      []byte
	at     int64
	vtable int64
}

// follow returns the table that the uint32 offset at byte at points to.
func follow(b []byte, at int64) (table, error) {
	if !inside(b, at, 4) {
		return table{}, errMetadata
	}
	t := table{b: b, at: at + int64(binary.LittleEndian.Uint32(b[at:]))}
	if !inside(b, t.at, 4) {
		return table{}, errMetadata
	}
	t.vtable = t.at - int64(int32(binary.LittleEndian.Uint32(b[t.at:])))
	if !inside(b, t.vtable, 4) {
		return table{}, errMetadata
	}
	return t, nil
}

// field returns where the field of a slot lies, of at least size bytes, or 0 if
// it is absent.
func (t table) field(slot, size int64) (int64, error) {
	entry := 4 + 2*slot
	if entry >= int64(binary.LittleEndian.Uint16(t.b[t.vtable:])) {
		return 0, nil
	}
	if !inside(t.b, t.vtable+entry, 2) {
		return 0, errMetadata
	}
	offset := int64(binary.LittleEndian.Uint16(t.b[t.vtable+entry:]))
	if offset == 0 {
		return 0, nil
	}
	if !inside(t.b, t.at+offset, size) {
		return 0, errMetadata
	}
	return t.at + offset, nil
}

// vector returns where the offsets of a vector of tables lie, one every 4 bytes.
func (t table) vector(slot int64) (offsets []int64, err error) {
	at, err := t.field(slot, 4)
	if err != nil || at == 0 {
		return nil, err
	}
	at += int64(binary.LittleEndian.Uint32(t.b[at:]))
	if !inside(t.b, at, 4) {
		return nil, errMetadata
	}
	n := int64(binary.LittleEndian.Uint32(t.b[at:]))
	if !inside(t.b, at+4, 4*n) {
		return nil, errMetadata
	}
	for i := range n {
		offsets = append(offsets, at+4+4*i)
	}
	return offsets, nil
}

// checkFields checks a table's vectors of fields and of key-value metadata, and
// those of the fields below it.
func (t table) checkFields(fields, metadata int64, depth int, left *int) error {
	if _, err := t.vector(metadata); err != nil {
		return err
	}
	offsets, err := t.vector(fields)
	if err != nil {
		return err
	}
	if *left -= len(offsets); *left < 0 || depth == 0 {
		return fmt.Errorf("more than %d columns or %d levels of them", maxFields, maxNesting)
	}
	for _, at := range offsets {
		child, err := follow(t.b, at)
		if err != nil {
			return err
		}
		if err := child.checkFields(fieldChildren, fieldMetadata, depth-1, left); err != nil {
			return err
		}
	}
	return nil
}

// inside reports whether b holds n bytes from at.
func inside(b []byte, at, n int64) bool {
	return at >= 0 && n >= 0 && at <= int64(len(b)) && n <= int64(len(b))-at
}
