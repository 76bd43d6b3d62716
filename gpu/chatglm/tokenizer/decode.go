package tokenizer

import "strings"

// unknownText is how SentencePiece shows the unknown piece.
const unknownText = " ⁇ "

// Decode implements [Encoder].
func (t *Tokenizer) Decode(ids []int32) string {
	d := decoder{t: t}
	for _, id := range ids {
		d.add(id)
	}
	d.endRun()
	return d.out.String()
}

// A decoder writes ids as text. A run is what stands between two specials.
type decoder struct {
	t        *Tokenizer
	out      strings.Builder
	bytes    []byte // byte pieces that are not written yet
	started  bool   // the run has text already
	stripped bool   // the run's leading space is gone already
}

func (d *decoder) add(id int32) {
	switch n := int32(len(d.t.pieces)); {
	case id < 0, int(id) >= Size(len(d.t.pieces)): // ignored labels, padding rows of the embedding
		return
	case id >= n:
		d.endRun()
		d.out.WriteString(specialNames()[id-n])
		return
	}
	p := d.t.pieces[id]
	if p.kind == byteID {
		d.bytes = append(d.bytes, d.byteOf(p))
		return
	}
	d.flush()
	switch p.kind {
	case unknown:
		d.write(unknownText)
	case normal:
		text := p.text
		if !d.started && !d.stripped {
			text, d.stripped = strings.CutPrefix(text, space)
		}
		d.write(strings.ReplaceAll(text, space, " "))
	}
}

// byteOf reads the two hex digits of "<0xNN>"; index has checked the form.
func (d *decoder) byteOf(p piece) byte {
	digit := func(c byte) byte {
		if c >= 'A' {
			return c - 'A' + 10
		}
		return c - '0'
	}
	return digit(p.text[3])<<4 | digit(p.text[4])
}

// flush writes the pending bytes, U+FFFD for each that is not UTF-8.
func (d *decoder) flush() {
	d.write(valid(string(d.bytes)))
	d.bytes = d.bytes[:0]
}

func (d *decoder) write(s string) {
	d.out.WriteString(s)
	d.started = d.started || s != ""
}

func (d *decoder) endRun() {
	d.flush()
	d.started, d.stripped = false, false
}
