package torchfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// The instructions of pickle protocols 2 to 5 that torch writes for a
// dictionary of tensors (Python's Lib/pickletools.py describes all).
const (
	opProto     = 0x80
	opFrame     = 0x95
	opStop      = '.'
	opMark      = '('
	opNone      = 'N'
	opTrue      = 0x88
	opFalse     = 0x89
	opInt1      = 'K'
	opInt2      = 'M'
	opInt4      = 'J'
	opLong1     = 0x8A
	opText      = 'X'
	opShortText = 0x8C
	opTuple0    = ')'
	opTuple1    = 0x85
	opTuple2    = 0x86
	opTuple3    = 0x87
	opTuple     = 't'
	opDict      = '}'
	opSetItem   = 's'
	opSetItems  = 'u'
	opPut       = 'q'
	opLongPut   = 'r'
	opMemoize   = 0x94
	opGet       = 'h'
	opLongGet   = 'j'
	opGlobal    = 'c'
	opNewGlobal = 0x93 // takes the name from the stack
	opPersID    = 'Q'
	opReduce    = 'R'
	opBuild     = 'b'
)

// Values on the stack are nil, bool, int64, string and these, and what tensor.go
// makes of names.
type (
	tuple  []any
	global string // module and name
	mark   struct{}
	dict   struct {
		keys   []any
		values []any
	}
)

// A machine runs a pickle. What it holds is bounded by the pickle's length: each
// instruction adds one value at most, and no value is copied.
type machine struct {
	in    []byte
	at    int
	stack []any
	memo  []any // by the order in which picklers number what they remember
}

// maxStack bounds the values on the stack: picklers put at most a thousand
// entries of a dictionary there at once.
const maxStack = 1 << 16

var errShort = errors.New("the pickle is cut short")

// unpickle runs a pickle to its end and returns the value that it makes.
func unpickle(in []byte) (any, error) {
	m := machine{in: in}
	for {
		start := m.at
		op, err := m.bytes(1)
		if err == nil {
			if op[0] == opStop {
				break
			}
			if err = m.step(op[0]); err == nil && len(m.stack) > maxStack {
				err = fmt.Errorf("more than %d values on the stack", maxStack)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("offset %d: %w", start, err)
		}
	}
	if len(m.stack) != 1 {
		return nil, fmt.Errorf("offset %d: the pickle ends with %d values, want 1", m.at-1, len(m.stack))
	}
	return m.stack[0], nil
}

func (m *machine) step(op byte) error {
	switch op {
	case opProto:
		v, err := m.number(1)
		if err == nil && (v < 2 || v > 5) {
			err = fmt.Errorf("pickle protocol %d: want 2 to 5", v)
		}
		return err
	case opFrame:
		_, err := m.bytes(8)
		return err
	case opMark:
		m.push(mark{})
	case opNone:
		m.push(nil)
	case opTrue, opFalse:
		m.push(op == opTrue)
	case opInt1:
		n, err := m.number(1)
		m.push(n)
		return err
	case opInt2:
		n, err := m.number(2)
		m.push(n)
		return err
	case opInt4:
		n, err := m.number(4)
		m.push(int64(int32(n)))
		return err
	case opLong1:
		return m.long()
	case opText, opShortText:
		width := 4
		if op == opShortText {
			width = 1
		}
		return m.text(width)
	case opTuple0, opTuple1, opTuple2, opTuple3:
		n := 0
		if op != opTuple0 {
			n = int(op-opTuple1) + 1
		}
		items, err := m.pop(n)
		m.push(tuple(items))
		return err
	case opTuple:
		items, err := m.popMark()
		m.push(tuple(items))
		return err
	case opDict:
		m.push(&dict{})
	case opSetItem, opSetItems:
		return m.setItems(op)
	case opPut, opLongPut, opMemoize:
		return m.put(op)
	case opGet, opLongGet:
		return m.get(op)
	case opGlobal, opNewGlobal:
		return m.global(op)
	case opPersID:
		items, err := m.pop(1)
		if err != nil {
			return err
		}
		s, err := newStorage(items[0])
		m.push(s)
		return err
	case opReduce:
		items, err := m.pop(2)
		if err != nil {
			return err
		}
		v, err := call(items[0], items[1])
		m.push(v)
		return err
	case opBuild: // a state dict's attributes: versions of modules, which nothing reads
		items, err := m.pop(2)
		if err != nil {
			return err
		}
		if _, ok := items[0].(*dict); !ok {
			return fmt.Errorf("attributes of %s: only a dictionary may have some", describe(items[0]))
		}
		m.push(items[0])
	default:
		return fmt.Errorf("pickle instruction %#02x is none that a dictionary of tensors needs", op)
	}
	return nil
}

func (m *machine) push(v any) { m.stack = append(m.stack, v) }

// pop takes the last n values.
func (m *machine) pop(n int) ([]any, error) {
	if len(m.stack) < n {
		return nil, fmt.Errorf("%d values are wanted, there are %d", n, len(m.stack))
	}
	at := len(m.stack) - n
	items := append([]any(nil), m.stack[at:]...)
	m.stack = m.stack[:at]
	for _, v := range items {
		if _, ok := v.(mark); ok {
			return nil, errors.New("a mark stands where a value is wanted")
		}
	}
	return items, nil
}

// popMark takes the values behind the last mark, and the mark.
func (m *machine) popMark() ([]any, error) {
	for at := len(m.stack) - 1; at >= 0; at-- {
		if _, ok := m.stack[at].(mark); ok {
			items := append([]any(nil), m.stack[at+1:]...)
			m.stack = m.stack[:at]
			return items, nil
		}
	}
	return nil, errors.New("values up to a mark are wanted, and there is no mark")
}

func (m *machine) setItems(op byte) (err error) {
	var items []any
	if op == opSetItem {
		items, err = m.pop(2)
	} else {
		items, err = m.popMark()
	}
	if err != nil {
		return err
	}
	if len(m.stack) == 0 || len(items)%2 != 0 {
		return fmt.Errorf("%d keys and values for a dictionary", len(items))
	}
	d, ok := m.stack[len(m.stack)-1].(*dict)
	if !ok {
		return fmt.Errorf("keys and values for %s", describe(m.stack[len(m.stack)-1]))
	}
	for i := 0; i < len(items); i += 2 {
		d.keys, d.values = append(d.keys, items[i]), append(d.values, items[i+1])
	}
	return nil
}

func (m *machine) put(op byte) error {
	at := int64(len(m.memo))
	var err error
	switch op {
	case opPut:
		at, err = m.number(1)
	case opLongPut:
		at, err = m.number(4)
	}
	if err != nil {
		return err
	}
	if len(m.stack) == 0 {
		return errors.New("nothing is there to remember")
	}
	switch v := m.stack[len(m.stack)-1]; {
	case at < int64(len(m.memo)):
		m.memo[at] = v
	case at == int64(len(m.memo)):
		m.memo = append(m.memo, v)
	default:
		return fmt.Errorf("something is remembered as %d, after %d others", at, len(m.memo))
	}
	return nil
}

func (m *machine) get(op byte) error {
	width := 1
	if op == opLongGet {
		width = 4
	}
	at, err := m.number(width)
	if err != nil {
		return err
	}
	if at >= int64(len(m.memo)) {
		return fmt.Errorf("nothing is remembered as %d", at)
	}
	m.push(m.memo[at])
	return nil
}

func (m *machine) global(op byte) error {
	var module, name string
	if op == opNewGlobal {
		items, err := m.pop(2)
		if err != nil {
			return err
		}
		var ok [2]bool
		module, ok[0] = items[0].(string)
		name, ok[1] = items[1].(string)
		if !ok[0] || !ok[1] {
			return errors.New("a name is no text")
		}
	} else {
		for _, to := range []*string{&module, &name} {
			line, _, found := bytes.Cut(m.in[m.at:], []byte("\n"))
			if !found {
				return errShort
			}
			*to = string(line)
			m.at += len(line) + 1
		}
	}
	g := global(module + "." + name)
	if !g.known() {
		return fmt.Errorf("the pickle names %.100q: weights need no such thing, and nothing of it was run", string(g))
	}
	m.push(g)
	return nil
}

// long reads an integer of up to 8 bytes, two's complement.
func (m *machine) long() error {
	n, err := m.number(1)
	if err != nil {
		return err
	}
	if n > 8 {
		return fmt.Errorf("an integer of %d bytes", n)
	}
	raw, err := m.bytes(int(n))
	if err != nil {
		return err
	}
	var wide [8]byte
	if n > 0 && raw[n-1]&0x80 != 0 {
		binary.LittleEndian.PutUint64(wide[:], math.MaxUint64)
	}
	copy(wide[:], raw)
	m.push(int64(binary.LittleEndian.Uint64(wide[:])))
	return nil
}

func (m *machine) text(width int) error {
	n, err := m.number(width)
	if err != nil {
		return err
	}
	raw, err := m.bytes(int(n))
	if err != nil {
		return err
	}
	if !utf8.Valid(raw) {
		return errors.New("a text is not UTF-8")
	}
	m.push(string(raw))
	return nil
}

// number reads an unsigned integer of up to 4 bytes.
func (m *machine) number(width int) (int64, error) {
	raw, err := m.bytes(width)
	if err != nil {
		return 0, err
	}
	var wide [8]byte
	copy(wide[:], raw)
	return int64(binary.LittleEndian.Uint64(wide[:])), nil
}

func (m *machine) bytes(n int) ([]byte, error) {
	if n > len(m.in)-m.at {
		return nil, errShort
	}
	m.at += n
	return m.in[m.at-n : m.at], nil
}

// describe names a value's kind for errors.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case bool:
		return "a truth value"
	case int64:
		return "a number"
	case string:
		return "a text"
	case tuple:
		return "a tuple"
	case *dict:
		return "a dictionary"
	case global:
		return string(v)
	case storage:
		return "a storage"
	case view:
		return "a tensor"
	}
	return "a mark"
}
