package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// text returns what a JSON value says: a string, the spelling of a number or a
// word, nothing for null, the joined texts of a list of content parts as OpenAI
// has them.
func text(raw json.RawMessage) (string, error) {
	if len(raw) == 0 {
		return "", nil
	}
	switch raw[0] {
	case '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case 'n':
		return "", nil
	case '[':
		return parts(raw)
	case '{':
		return "", errors.New("is an object where text is expected")
	default:
		return string(raw), nil
	}
}

// parts joins a list of content parts: strings, or objects of type text.
func parts(raw json.RawMessage) (string, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return "", err
	}
	var b strings.Builder
	for _, item := range list {
		var part struct {
			Type string  `json:"type"`
			Text *string `json:"text"`
		}
		if len(item) > 0 && item[0] == '"' {
			part.Text = new(string)
			if err := json.Unmarshal(item, part.Text); err != nil {
				return "", err
			}
		} else if err := json.Unmarshal(item, &part); err != nil {
			return "", err
		}
		if part.Text == nil {
			return "", fmt.Errorf("has a part of type %q, only text can be learned", part.Type)
		}
		b.WriteString(*part.Text)
	}
	return b.String(), nil
}

// word returns the first field of a record, of the given names, that holds
// text.
func word(fields map[string]json.RawMessage, names ...string) string {
	for _, name := range names {
		if s, err := text(fields[name]); err == nil && s != "" {
			return s
		}
	}
	return ""
}

// timeLayouts are the ways to write a time that tables use.
func timeLayouts() []string {
	return []string{
		time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04",
		"2006/1/2 15:04:05", "2006/1/2 15:04", "2006年1月2日 15:04:05", "2006年1月2日 15:04", "2006年1月2日 15时04分05秒",
		"20060102150405", "2006-01-02", "2006/1/2", time.RFC1123Z, time.RFC1123, time.RubyDate, "1/2/2006 15:04:05", "1/2/2006 15:04",
	}
}

// millis reads a time: Unix seconds, milliseconds or microseconds, or one of
// [timeLayouts], in UTC where it names no zone. It returns 0 for what it cannot
// read: a time is nice to have.
func millis(s string) int64 {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0
	}
	if len(s) != len("20060102150405") {
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			switch {
			case f >= 1e8 && f < 1e11: // seconds, 1973 to 5138
				return int64(f * 1000)
			case f >= 1e11 && f < 1e14:
				return int64(f)
			case f >= 1e14 && f < 1e17:
				return int64(f / 1000)
			}
			return 0
		}
	}
	for _, layout := range timeLayouts() {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixMilli()
		}
	}
	return 0
}
