package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	utf16 "golang.org/x/text/encoding/unicode"
)

// sampleBytes is how much of a file is looked at to recognise it.
const sampleBytes = 1 << 20

// decode returns r as UTF-8 without a byte order mark, together with the
// beginning of the text. A file that is no text is a [problem].
//
// GB18030 is recognised where the beginning is no UTF-8, decodes without an
// error and is mostly Chinese. Anything else passes as it is, and the records
// that are no UTF-8 are rejected one by one.
func decode(r io.Reader) (*bufio.Reader, []byte, error) {
	br := bufio.NewReaderSize(r, sampleBytes)
	head, err := peek(br)
	if err != nil {
		return nil, nil, err
	}
	if len(head) == 0 {
		return nil, nil, &problem{rule: ruleEmptyFile, reason: "the file is empty"}
	}
	var enc encoding.Encoding
	switch {
	case bytes.HasPrefix(head, []byte{0xEF, 0xBB, 0xBF}):
		enc = utf16.UTF8BOM
	case bytes.HasPrefix(head, []byte{0xFF, 0xFE}), bytes.HasPrefix(head, []byte{0xFE, 0xFF}):
		enc = utf16.UTF16(utf16.LittleEndian, utf16.ExpectBOM)
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte{0x1F, 0x8B}):
		return nil, nil, &problem{rule: ruleBinaryFile, reason: "the file is an archive; unpack it and ingest what is inside"}
	case bytes.IndexByte(head, 0) >= 0:
		return nil, nil, &problem{rule: ruleBinaryFile, reason: "the file is no text: it holds zero bytes"}
	case looksGB18030(head):
		enc = simplifiedchinese.GB18030
	default:
		return br, head, nil
	}
	br = bufio.NewReaderSize(enc.NewDecoder().Reader(br), sampleBytes)
	head, err = peek(br)
	if err == nil && len(head) == 0 {
		err = &problem{rule: ruleEmptyFile, reason: "the file is empty but for its byte order mark"}
	}
	return br, head, err
}

func peek(br *bufio.Reader) ([]byte, error) {
	head, err := br.Peek(sampleBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the file: %w", err)
	}
	return head, nil
}

// looksGB18030 reports whether head is Chinese text in GB18030 rather than
// UTF-8. A character cut off at the end of head is let pass.
func looksGB18030(head []byte) bool {
	const longest = 4 // bytes of a character in either
	if len(head) == sampleBytes {
		head = head[:len(head)-longest]
	}
	if validPrefix(head) {
		return false
	}
	text, err := simplifiedchinese.GB18030.NewDecoder().Bytes(head)
	if err != nil {
		return false
	}
	han, other := 0, 0
	for i, r := range string(text) {
		switch {
		case r == utf8.RuneError:
			if i < len(text)-longest {
				return false
			}
		case unicode.Is(unicode.Han, r), r >= 0x3000 && r <= 0x303F, r >= 0xFF00 && r <= 0xFF5E:
			han++
		case r >= utf8.RuneSelf:
			other++
		}
	}
	return han > 4*other
}

// validPrefix reports whether head is UTF-8 but for a character cut off at its
// end.
func validPrefix(head []byte) bool {
	for i := range utf8.UTFMax {
		if i <= len(head) && utf8.Valid(head[:len(head)-i]) {
			return true
		}
	}
	return false
}
