package tokenizer

import "unicode/utf8"

// A Stream decodes ids as they come. Its texts end to end are what Decode gives
// for all ids together: the first bytes of a character wait for the others.
type Stream struct{ d decoder }

// Stream implements [Encoder].
func (t *Tokenizer) Stream() *Stream { return &Stream{decoder{t: t}} }

// Add takes the next id and returns the text that is certain by now.
func (s *Stream) Add(id int32) string {
	s.d.add(id)
	for utf8.FullRune(s.d.bytes) {
		r, size := utf8.DecodeRune(s.d.bytes)
		s.d.write(string(r))
		s.d.bytes = s.d.bytes[:copy(s.d.bytes, s.d.bytes[size:])]
	}
	return s.take()
}

// End returns what is left: U+FFFD for each byte of an unfinished character.
func (s *Stream) End() string {
	s.d.endRun()
	return s.take()
}

func (s *Stream) take() string {
	text := s.d.out.String()
	s.d.out.Reset()
	return text
}
