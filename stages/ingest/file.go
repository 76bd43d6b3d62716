package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/glmflow/glmflow/schemas"
)

// unknownRecords is how many records of no layout we know a file may begin with
// before it is given up as a whole.
const unknownRecords = 64

// supported is what a reject of a file we cannot read tells people.
const supported = "supported are JSON, JSON lines, CSV and TSV with ChatGLM3 conversations, OpenAI messages, ShareGPT, Alpaca, " +
	"question and answer, or one message a row (session, sender, text, time); describe anything else in a mapping"

// A sink takes what is read. Its errors end the job.
type sink interface {
	dialogue(schemas.Dialogue) error
	reject(schemas.Reject) error
}

// A file reads one source.
type file struct {
	c         Config
	container string // "", "json", "jsonl", "csv", "tsv"
	layout    string // "" allows all
	mapping   *Mapping
	source    schemas.Source
	out       sink

	table   *table // once a row of a ticket table was seen
	columns columns
	known   bool             // some record was recognised
	unknown []schemas.Reject // records that were not, before the first that was
}

// errGivenUp ends a file of which nothing was recognised.
var errGivenUp = errors.New("given up")

// read reads the source from r. What is wrong with its content is rejected; an
// error is one of r or of the sink.
func (f *file) read(r io.Reader) error {
	err := f.contents(r)
	var p *problem
	switch {
	case errors.As(err, &p):
		return f.refuse(p)
	case err != nil && !errors.Is(err, errGivenUp):
		return err
	}
	if len(f.unknown) > 0 {
		first := f.unknown[0]
		return f.refuse(&problem{ruleUnknownFile, "nothing in it looks like a conversation; " + supported, first.Origin.Line, []byte(first.Sample)})
	}
	if f.table == nil {
		return nil
	}
	for d, err := range f.table.dialogues {
		if err := f.emit(d, d.Origin.Line, err); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) contents(r io.Reader) error {
	br, head, err := decode(r)
	if err != nil {
		return err
	}
	container := f.container
	if container == "" {
		container = f.recognise(head)
	}
	var failed error
	take := func(rec record, err error) bool {
		failed = f.take(rec, err)
		return failed == nil
	}
	switch container {
	case "jsonl":
		jsonLines(br, f.c, take)
	case "json":
		jsonValues(br, f.c, take)
	case "csv":
		rows(br, comma(head), f.c, take)
	case "tsv":
		rows(br, '\t', f.c, take)
	default:
		return &problem{ruleUnknownFile, "its format is not recognised; " + supported, 1, head}
	}
	return failed
}

// recognise tells the container by its beginning, and by the name's ending where
// that leaves a doubt.
func (f *file) recognise(head []byte) string {
	text := bytes.TrimLeft(head, " \t\r\n")
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	ending := strings.ToLower(path.Ext(f.source.Name))
	switch {
	case ending == ".jsonl" || ending == ".ndjson":
		return "jsonl"
	case len(text) == 0:
		return ending[min(1, len(ending)):]
	case text[0] == '{' && len(rest) > 0 && hasJSONLine(first, rest):
		return "jsonl"
	case text[0] == '{', text[0] == '[' && startsList(text[1:]):
		return "json"
	case ending == ".tsv" || ending == ".csv":
		return ending[1:]
	case bytes.IndexByte(first, '\t') > 0 && f.isHeader(splitTabs(string(first))):
		return "tsv"
	}
	if names, err := splitRow(bytes.TrimRight(first, "\r"), comma(head)); err == nil && f.isHeader(names) {
		return "csv"
	}
	return ""
}

// hasJSONLine reports whether one of a file's first lines is an object of its
// own: then it has a record a line, even if some lines are broken.
func hasJSONLine(first, rest []byte) bool {
	for range unknownRecords {
		if len(first) > 0 && first[0] == '{' && json.Valid(first) {
			return true
		}
		if len(rest) == 0 {
			return false
		}
		first, rest, _ = bytes.Cut(rest, []byte("\n"))
	}
	return false
}

// startsList tells a JSON list of objects from text that begins with a bracket.
func startsList(behind []byte) bool {
	behind = bytes.TrimLeft(behind, " \t\r\n")
	return len(behind) == 0 || behind[0] == '{' || behind[0] == ']' || behind[0] == '['
}

// isHeader reports whether names are the columns of a layout we know, or of any
// table if a mapping says what they mean.
func (f *file) isHeader(names []string) bool {
	if len(names) < 2 {
		return false
	}
	if _, ok := guessColumns(names); ok || f.mapping != nil {
		return true
	}
	fields := make(map[string]json.RawMessage)
	for _, name := range names {
		fields[name] = json.RawMessage(`""`)
	}
	return isAlpaca(fields) || isQA(fields)
}

// comma returns the separator of a CSV file: a semicolon where its first line
// has more of them than of commas, as spreadsheets write it in some countries.
func comma(head []byte) rune {
	first, _, _ := bytes.Cut(head, []byte("\n"))
	if bytes.Count(first, []byte(";")) > bytes.Count(first, []byte(",")) {
		return ';'
	}
	return ','
}

// take handles one record, or what is wrong with it.
func (f *file) take(rec record, err error) error {
	if err == nil {
		err = f.record(rec)
	}
	var p *problem
	if errors.As(err, &p) {
		return f.out.reject(f.rejection(p))
	}
	return err
}

// record makes a conversation, or several, of a record.
func (f *file) record(rec record) error {
	if f.mapping != nil {
		return f.mapped(rec)
	}
	if f.table != nil {
		return f.row(rec)
	}
	d, ok, err := conversation(rec, f.layout)
	if ok {
		if err := f.recognised(); err != nil {
			return err
		}
		if err != nil {
			return &problem{ruleRecord, err.Error(), rec.line, rec.raw}
		}
		return f.emit(d, rec.line, nil)
	}
	if f.layout == "" || f.layout == tableLayout {
		names := rec.names
		if names == nil {
			names = slices.Sorted(maps.Keys(rec.fields))
		}
		if c, ok := guessColumns(names); ok && !f.known {
			f.columns, f.table = c, newTable(f.c.TableBytes, nil, c.yes)
			if err := f.recognised(); err != nil {
				return err
			}
			return f.row(rec)
		}
	}
	if rec.names == nil && f.holdsConversations(rec) {
		var failed error
		members(rec.raw, rec.line, f.c, func(inner record, err error) bool {
			failed = f.take(inner, err)
			return failed == nil
		})
		return failed
	}
	return f.notRecognised(rec)
}

// holdsConversations reports whether a record that is no conversation holds
// some.
func (f *file) holdsConversations(rec record) (found bool) {
	members(rec.raw, rec.line, f.c, func(inner record, err error) bool {
		if err == nil {
			_, found, _ = conversation(inner, f.layout)
		}
		return !found && !isFatal(err)
	})
	return found
}

// row adds a row of a ticket table.
func (f *file) row(rec record) error {
	content, err := text(rec.fields[f.columns.text])
	if err != nil {
		return &problem{ruleRecord, fmt.Sprintf("%s %v", f.columns.text, err), rec.line, rec.raw}
	}
	m := message{
		sender: word(rec.fields, f.columns.sender), text: content,
		time: millis(word(rec.fields, f.columns.time)), line: rec.line,
	}
	return f.table.add(word(rec.fields, f.columns.session), m, rec.raw)
}

// mapped reads a record by the mapping.
func (f *file) mapped(rec record) error {
	f.known = true
	records, err := f.mapping.records(rec)
	if err != nil {
		return &problem{ruleRecord, "by the mapping: " + err.Error(), rec.line, rec.raw}
	}
	for _, r := range records {
		if err := f.mappedRecord(r); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) mappedRecord(rec record) error {
	if f.mapping.Session == "" {
		d, err := f.mapping.dialogue(rec)
		if err != nil {
			err = &problem{ruleRecord, "by the mapping: " + err.Error(), rec.line, rec.raw}
		}
		return f.emit(d, rec.line, err)
	}
	if f.table == nil {
		f.table = newTable(f.c.TableBytes, f.mapping.senders(), "")
	}
	key, m, err := f.mapping.message(rec)
	if err != nil {
		err = &problem{ruleRecord, "by the mapping: " + err.Error(), rec.line, rec.raw}
	} else {
		err = f.table.add(key, m, rec.raw)
	}
	var p *problem
	if errors.As(err, &p) {
		return f.out.reject(f.rejection(p))
	}
	return err
}

// recognised says that the file is one we can read, and rejects the records
// before for themselves.
func (f *file) recognised() error {
	f.known = true
	for _, r := range f.unknown {
		if err := f.out.reject(r); err != nil {
			return err
		}
	}
	f.unknown = nil
	return nil
}

func (f *file) notRecognised(rec record) error {
	p := &problem{ruleRecord, "it is a conversation in no layout we know", rec.line, rec.raw}
	if f.known {
		return p
	}
	if f.unknown = append(f.unknown, f.rejection(p)); len(f.unknown) == unknownRecords {
		return errGivenUp
	}
	return nil
}

// emit hands a conversation on, or rejects it for err.
func (f *file) emit(d schemas.Dialogue, line int64, err error) error {
	var p *problem
	if errors.As(err, &p) {
		return f.out.reject(f.rejection(p))
	}
	if err != nil {
		return err
	}
	d.Origin.File, d.Origin.Digest, d.Origin.Line = f.source.Name, f.source.Digest, line
	d.ID = d.ContentID()
	return f.out.dialogue(d)
}

// refuse rejects the whole file.
func (f *file) refuse(p *problem) error {
	p.reason = f.source.Name + ": " + p.reason
	return f.out.reject(f.rejection(p))
}

func (f *file) rejection(p *problem) schemas.Reject {
	return schemas.Reject{
		Stage: stageName, Rule: p.rule, Reason: p.reason, Sample: sample(p.raw),
		Origin: schemas.Origin{File: f.source.Name, Digest: f.source.Digest, Line: p.line},
	}
}
