package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/glmflow/glmflow/schemas"
)

// maxLine is the longest line of token rows that is read, in bytes.
const maxLine = 64 << 20

// A row is one conversation of --data, encoded.
type row struct {
	id     json.RawMessage // as the sender wrote it; else the row's number, from 0
	ids    []int32
	labels []int32
	prompt []int32 // what comes before the last answer
}

// failedRow is the line of a conversation that has no result.
type failedRow struct {
	ID    json.RawMessage `json:"id"`
	Error string          `json:"error"`
}

// failures is the error of a command that wrote so many of those.
func failures(failed, of int) error {
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d conversations have an error in place of a result: their lines say which", failed, of)
}

// check finds ids that a model does not know.
func (r row) check(vocabulary int) error {
	for at, id := range r.ids {
		if id < 0 || int(id) >= vocabulary || int(r.labels[at]) >= vocabulary {
			return fmt.Errorf("token %d: id %d, label %d: the model has ids 0 to %d; was the data encoded for another vocabulary?", at, id, r.labels[at], vocabulary-1)
		}
	}
	return nil
}

// name is the row's id for names of tensors and messages.
func (r row) name() string {
	var s string
	if json.Unmarshal(r.id, &s) == nil {
		return s
	}
	return string(r.id)
}

// tokenRow is a line of token rows.
type tokenRow struct {
	ID     json.RawMessage `json:"id"`
	IDs    []int32         `json:"ids"`
	Labels []int32         `json:"labels"`
}

// isTokenRow reports whether text begins with a token row: an object that has a
// list of ids.
func isTokenRow(text []byte) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return false
	}
	for {
		key, err := d.Token()
		if err != nil {
			return false
		}
		if key == "ids" {
			t, err := d.Token()
			return err == nil && t == json.Delim('[')
		}
		var other json.RawMessage
		if d.Decode(&other) != nil {
			return false
		}
	}
}

// readTokenRows reads {"id","ids"[,"labels"]} lines. Without labels every token
// but the first is a target. limit cuts long rows; 0 cuts none.
func readTokenRows(r io.Reader, file string, limit int) ([]row, error) {
	var rows []row
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 1<<20), maxLine)
	number := 0
	for lines.Scan() {
		number++
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var t tokenRow
		if err := json.Unmarshal(line, &t); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, number, err)
		}
		if t.Labels == nil {
			t.Labels = allTargets(t.IDs)
		}
		if len(t.IDs) == 0 || len(t.IDs) != len(t.Labels) {
			return nil, fmt.Errorf("%s:%d: %d ids and %d labels: want as many of both, and at least one", file, number, len(t.IDs), len(t.Labels))
		}
		if limit > 0 && len(t.IDs) > limit {
			t.IDs, t.Labels = t.IDs[:limit], t.Labels[:limit]
		}
		rows = append(rows, row{id: idOr(t.ID, len(rows)), ids: t.IDs, labels: t.Labels, prompt: t.IDs[:promptEnd(t.Labels)]})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", file, number+1, err)
	}
	return rows, nil
}

// idOr is id, or the row's number where there is none.
func idOr(id json.RawMessage, number int) json.RawMessage {
	if len(id) == 0 || string(id) == "null" {
		return json.RawMessage(strconv.Itoa(number))
	}
	return id
}

// allTargets labels every token but the first.
func allTargets(ids []int32) []int32 {
	labels := make([]int32, len(ids))
	copy(labels, ids)
	if len(labels) > 0 {
		labels[0] = schemas.IgnoreLabel
	}
	return labels
}

// promptEnd is where the last stretch of targets begins, or the end of the row
// where everything or nothing is a target.
func promptEnd(labels []int32) int {
	end := len(labels)
	for end > 0 && labels[end-1] < 0 {
		end--
	}
	start := end
	for start > 0 && labels[start-1] >= 0 {
		start--
	}
	if start <= 1 {
		return len(labels)
	}
	return start
}
