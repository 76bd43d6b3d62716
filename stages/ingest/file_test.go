package ingest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/simplifiedchinese"
	utf16 "golang.org/x/text/encoding/unicode"

	"github.com/glmflow/glmflow/schemas"
)

var rewrite = flag.Bool("rewrite", false, "write the expected parts of testdata/*.txt anew")

// kept is a sink that keeps everything.
type kept struct {
	dialogues []schemas.Dialogue
	rejects   []schemas.Reject
}

func (k *kept) dialogue(d schemas.Dialogue) error { k.dialogues = append(k.dialogues, d); return nil }
func (k *kept) reject(r schemas.Reject) error     { k.rejects = append(k.rejects, r); return nil }

// String shows what was read the way the golden files do.
func (k *kept) String() string {
	var b strings.Builder
	for _, d := range k.dialogues {
		fmt.Fprintf(&b, "line %d", d.Origin.Line)
		if d.Origin.Key != "" {
			fmt.Fprintf(&b, " key %s", d.Origin.Key)
		}
		if d.Tools != "" {
			fmt.Fprintf(&b, " tools %s", d.Tools)
		}
		b.WriteString("\n")
		for _, t := range d.Turns {
			fmt.Fprintf(&b, "  %s", t.Role)
			if t.Name != "" {
				fmt.Fprintf(&b, " (%s)", t.Name)
			}
			if t.Train != nil {
				fmt.Fprintf(&b, " train=%v", *t.Train)
			}
			if t.Time != 0 {
				fmt.Fprintf(&b, " @%d", t.Time)
			}
			fmt.Fprintf(&b, ": %q\n", t.Content)
		}
	}
	for _, r := range k.rejects {
		fmt.Fprintf(&b, "reject line %d %s: %s\n", r.Origin.Line, r.Rule, r.Reason)
	}
	return b.String()
}

func read(t testing.TB, c Config, name string, data []byte, mapping *Mapping) *kept {
	t.Helper()
	k := &kept{}
	f := &file{c: c, source: schemas.Source{Name: name, Digest: "sha256:00"}, mapping: mapping, out: k}
	if err := f.read(bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	return k
}

// Every testdata/*.txt is a list of cases: the line "=== NAME" with the file's
// name, the file, the line "--- mapping" and a mapping if there is one, the line
// "--- read", and what was read.
func TestGolden(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			for _, c := range strings.Split(string(data), "=== ")[1:] {
				name, rest, _ := strings.Cut(c, "\n")
				input, want, _ := strings.Cut(rest, "--- read\n")
				content, yaml, mapped := strings.Cut(input, "--- mapping\n")
				var m *Mapping
				if mapped {
					if m, err = ParseMapping(yaml); err != nil {
						t.Fatal(err)
					}
				}
				got := read(t, DefaultConfig(), name, []byte(strings.ReplaceAll(content, "⇥", "\t")), m).String()
				if !*rewrite && got != strings.TrimRight(want, "\n")+"\n" {
					t.Errorf("%s: %s", name, cmp.Diff(strings.TrimRight(want, "\n")+"\n", got))
				}
				fmt.Fprintf(&out, "=== %s\n%s--- read\n%s\n", name, input, got)
			}
			if *rewrite {
				if err := os.WriteFile(path, []byte(strings.TrimRight(out.String(), "\n")+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

const line1 = `{"messages":[{"role":"user","content":"订单到哪了？"},{"role":"assistant","content":"已经发货。"}]}`

func TestCharacterSets(t *testing.T) {
	want := read(t, DefaultConfig(), "a.jsonl", []byte(line1), nil).dialogues[0].ID
	encode := func(e interface{ Bytes([]byte) ([]byte, error) }) []byte {
		b, err := e.Bytes([]byte(line1 + "\n" + line1))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, data := range map[string][]byte{
		"UTF-8 with BOM": []byte("\ufeff" + line1 + "\n" + line1),
		"UTF-16LE":       encode(utf16.UTF16(utf16.LittleEndian, utf16.UseBOM).NewEncoder()),
		"UTF-16BE":       encode(utf16.UTF16(utf16.BigEndian, utf16.UseBOM).NewEncoder()),
		"GB18030":        encode(simplifiedchinese.GB18030.NewEncoder()),
		"carriage":       []byte(line1 + "\r\n" + line1 + "\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			k := read(t, DefaultConfig(), "a.jsonl", data, nil)
			if len(k.dialogues) != 2 || len(k.rejects) != 0 || k.dialogues[1].ID != want {
				t.Errorf("read\n%s", k)
			}
		})
	}
}

// Hostile and broken files cost what is broken and nothing else.
func TestBrokenFiles(t *testing.T) {
	small := DefaultConfig()
	small.RecordBytes = 4096
	huge := `{"messages":[{"role":"user","content":"` + strings.Repeat("长", 4000) + `"}]}`
	deep := `{"messages":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`
	for name, c := range map[string]struct {
		file, data string
		dialogues  int
		rejects    []string // line, rule and a part of the reason
	}{
		"empty":             {"a.jsonl", "", 0, []string{"0 empty-file a.jsonl: the file is empty"}},
		"only a mark":       {"a.jsonl", "\ufeff", 0, []string{"0 empty-file byte order mark"}},
		"only space":        {"a.txt", " \n\n", 0, []string{"1 unknown-layout"}},
		"malformed line":    {"a.jsonl", line1 + "\n{\"messages\":[{\n" + line1, 2, []string{"2 malformed-json unexpected end"}},
		"first malformed":   {"a.log", "{\"messages\":\n" + line1 + "\n" + line1, 2, []string{"1 malformed-json"}},
		"no object":         {"a.jsonl", "[1,2]\n7\nnull\n" + line1, 1, []string{"1 malformed-json no object", "2 malformed-json no object", "3 malformed-json no object"}},
		"long line":         {"a.jsonl", line1 + "\n" + huge + "\n" + line1, 2, []string{"2 too-long longer than 4096"}},
		"long last line":    {"a.jsonl", line1 + "\n" + huge, 1, []string{"2 too-long"}},
		"invalid UTF-8":     {"a.jsonl", line1 + "\n" + strings.Replace(line1, "已", "\xff\xfe", 1) + "\n", 1, []string{"2 invalid-utf8 0xff"}},
		"deep line":         {"a.jsonl", deep + "\n" + line1, 1, []string{"1 too-long"}},
		"deep value":        {"a.json", "[" + line1 + ",\n" + strings.Repeat("[", 200) + strings.Repeat("]", 200) + ",\n" + line1 + "]", 2, []string{"2 too-deep nested 200 deep"}},
		"long element":      {"a.json", "[" + line1 + ",\n" + huge + ",\n" + line1 + "]", 2, []string{"2 too-long"}},
		"broken element":    {"a.json", "[" + line1 + ",\n{\"messages\": [{]}},\n" + line1 + "]", 2, []string{"2 malformed-json"}},
		"cut short":         {"a.json", "[" + line1 + ",\n{\"messages\": [", 1, []string{"2 malformed-json cut short"}},
		"behind the list":   {"a.json", "[" + line1 + "]\n???\n" + line1, 2, []string{"2 malformed-json '?'"}},
		"binary":            {"a.jsonl", "ab\x00cd", 0, []string{"0 binary-file zero bytes"}},
		"archive":           {"a.zip", "PK\x03\x04...", 0, []string{"0 binary-file unpack"}},
		"another's chat":    {"chat.txt", "01/01/19, 11:25 - John Doe: Lorem ipsum\n", 0, []string{"1 unknown-layout supported are"}},
		"bracketed chat":    {"chat.txt", "[01.01.19, 11:25:03] John: Lorem\n", 0, []string{"1 unknown-layout supported are"}},
		"unknown objects":   {"a.json", `{"events":[{"event":"action"},{"event":"user","text":"hi"}]}`, 0, []string{"1 unknown-layout supported are"}},
		"mixed":             {"a.jsonl", `{"meta":1}` + "\n" + line1, 1, []string{"1 unreadable-conversation no layout"}},
		"unknown role":      {"a.jsonl", strings.Replace(line1, `"user"`, `"alien"`, 1), 0, []string{`1 unreadable-conversation message 1 has role "alien"`}},
		"picture":           {"a.jsonl", strings.Replace(line1, `"订单到哪了？"`, `[{"type":"image_url"}]`, 1), 0, []string{`1 unreadable-conversation "image_url"`}},
		"ragged rows":       {"a.csv", "session_id,sender,text\n1,user,hi\n1,agent\n1,agent,hello,more\n1,agent,hello\n", 1, []string{"3 malformed-row 2 fields, the header 3", "4 malformed-row 4 fields"}},
		"unclosed quote":    {"a.csv", "session_id,sender,text\n1,user,hi\n1,agent,\"hel\n1,agent,hello\n", 1, []string{"3 malformed-row never closed"}},
		"no session":        {"a.csv", "session_id,sender,text\n,user,hi\n1,user,hi\n", 1, []string{"2 malformed-row names no session"}},
		"unknown senders":   {"a.csv", "session_id,sender,text\n1,a,x\n1,b,y\n1,c,z\n", 0, []string{"2 unknown-sender session 1"}},
		"half of the turns": {"a.json", `[{"messages":[{"role":"user","content":"a"},`, 0, []string{"1 malformed-json cut short"}},
	} {
		t.Run(name, func(t *testing.T) {
			k := read(t, small, c.file, []byte(c.data), nil)
			if len(k.dialogues) != c.dialogues || len(k.rejects) != len(c.rejects) {
				t.Fatalf("want %d dialogues and %d rejects, got\n%s", c.dialogues, len(c.rejects), k)
			}
			for i, r := range k.rejects {
				got := fmt.Sprintf("%d %s %s", r.Origin.Line, r.Rule, r.Reason)
				head, tail, _ := strings.Cut(c.rejects[i], " ")
				rule, part, _ := strings.Cut(tail, " ")
				if !strings.HasPrefix(got, head+" "+rule+" ") || !strings.Contains(got, part) {
					t.Errorf("reject %q, want %q", got, c.rejects[i])
				}
				if len(r.Sample) > maxSample || r.Stage != "ingest" || r.Origin.File != c.file {
					t.Errorf("reject %+v", r)
				}
			}
		})
	}
}

// One object that is larger than any record may be is cut up, not held.
func TestLargeObjectIsCutUp(t *testing.T) {
	c := DefaultConfig()
	c.RecordBytes = 1024
	var b strings.Builder
	b.WriteString(`{"version":"1","list":[`)
	for i := range 100 {
		if i > 0 {
			b.WriteString(",\n")
		}
		b.WriteString(line1)
	}
	b.WriteString(`],"byName":{},"one":` + line1 + `}`)
	k := read(t, c, "a.json", []byte(b.String()), nil)
	if len(k.dialogues) != 101 || k.dialogues[99].Origin.Line != 100 || k.dialogues[100].Origin.Key != "one" {
		t.Errorf("%d dialogues; %v", len(k.dialogues), k.rejects)
	}
}

// A line far beyond the limit is passed over in little memory.
func TestHundredMegabyteLine(t *testing.T) {
	c := DefaultConfig()
	c.RecordBytes = 1 << 20
	k := &kept{}
	f := &file{c: c, source: schemas.Source{Name: "a.jsonl"}, out: k}
	long := &repeated{left: 100 << 20}
	err := f.read(newConcat([]byte(line1+"\n"), long, []byte("\n"+line1+"\n")))
	if err != nil || len(k.dialogues) != 2 || len(k.rejects) != 1 || k.rejects[0].Rule != ruleTooLong || k.rejects[0].Origin.Line != 2 {
		t.Fatalf("%v\n%s", err, k)
	}
}

func TestReadErrorsAreNoRejects(t *testing.T) {
	k := &kept{}
	f := &file{c: DefaultConfig(), source: schemas.Source{Name: "a.jsonl"}, out: k}
	err := f.read(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(line1))))
	if err == nil || len(k.rejects) > 0 {
		t.Errorf("got %v and %v", err, k.rejects)
	}
}

func TestMappingErrors(t *testing.T) {
	for name, c := range map[string]struct{ yaml, want string }{
		"unknown field": {"turns: a\ntexts: b\n", "unknown field \"texts\""},
		"no shape":      {"text: a\nrole: {path: b}\n", "give turns"},
		"both shapes":   {"turns: a\nsession: b\ntext: c\nrole: {path: d}\n", "give turns"},
		"no role":       {"turns: a\ntext: c\n", "give role.keys"},
		"no text":       {"turns: a\nrole: {path: b}\n", "text is missing"},
		"bad role":      {"turns: a\ntext: c\nrole: {keys: {x: boss}}\n", `role of x: "boss" is no role`},
		"bad also":      {"turns: a\ntext: c\nrole: {path: b}\nalso: [{at: x, role: user}]\n", "also 1: give at and text"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseMapping(c.yaml); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// data returns a file of shared data, which nobody here wrote.
func data(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../../shared/data", name))
	if os.IsNotExist(err) {
		t.Skip("the shared data is absent: ", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTwitterCare(t *testing.T) {
	dev := data(t, "logs/twitter_care/dev.json")
	yaml, err := os.ReadFile("../../docs/examples/twitter_care.mapping.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseMapping(string(yaml))
	if err != nil {
		t.Fatal(err)
	}
	k := read(t, DefaultConfig(), "dev.json", dev, m)
	if len(k.dialogues) != 525 || len(k.rejects) != 0 {
		t.Fatalf("%d dialogues, %d rejects", len(k.dialogues), len(k.rejects))
	}
	turns := 0
	for _, d := range k.dialogues {
		turns += len(d.Turns)
		if last := d.Turns[len(d.Turns)-1]; last.Role != schemas.RoleAssistant || last.Content == "" {
			t.Errorf("%s ends with %+v", d.Origin.Key, last)
		}
	}
	if want := 606 + 61 + 19 + 525; turns != want {
		t.Errorf("%d turns, want %d", turns, want)
	}
	first := k.dialogues[0]
	if first.Origin.Key != "LgwAXtbbEm0mBvDrGmjk" || first.Turns[0].Time != 1585762292000 || first.Origin.Line != 2 {
		t.Errorf("first %+v", first)
	}
}

func TestCrossWOZ(t *testing.T) {
	k := read(t, DefaultConfig(), "val.messages.jsonl", data(t, "logs/crosswoz/val.messages.jsonl"), nil)
	turns := 0
	for _, d := range k.dialogues {
		turns += len(d.Turns)
	}
	if len(k.dialogues) != 500 || len(k.rejects) != 0 || turns != 8458 || k.dialogues[0].Origin.Key != "11290" {
		t.Errorf("%d dialogues of %d turns, %d rejects", len(k.dialogues), turns, len(k.rejects))
	}
}

func TestExports(t *testing.T) {
	for name, want := range map[string][]int{ // turns of each dialogue; nil for a refused file
		"sharegpt/conversation.json":       nil, // filled in below: its length is checked against the file itself
		"swift/alpaca.csv":                 {3, 2, 2},
		"swift/alpaca.jsonl":               {5, 2, 2},
		"swift/chatml.jsonl":               {3, 4, 4},
		"swift/sharegpt.jsonl":             {3, 2, 6},
		"swift/swift_multi.jsonl":          {3, 2, 6},
		"swift/swift_single.csv":           {3, 2, 2},
		"telegram/test_single_export.json": nil,
		"whatsapp/test_ddmmyy_24hrs.txt":   nil,
		"rasa/rasa_tracker_moodbot.json":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			raw := data(t, "logs/exports/"+name)
			k := read(t, DefaultConfig(), name, raw, nil)
			if strings.HasPrefix(name, "sharegpt/") {
				var whole struct {
					Conversations []struct{ From, Value string }
				}
				if err := json.Unmarshal(raw, &whole); err != nil {
					t.Fatal(err)
				}
				want = []int{len(whole.Conversations)}
			}
			var turns []int
			for _, d := range k.dialogues {
				turns = append(turns, len(d.Turns))
			}
			if !slices.Equal(turns, want) {
				t.Errorf("turns %v, want %v\n%s", turns, want, k)
			}
			if len(want) == 0 && (len(k.rejects) != 1 || k.rejects[0].Rule != ruleUnknownFile || !strings.Contains(k.rejects[0].Reason, name)) {
				t.Errorf("rejects %v", k.rejects)
			}
		})
	}
}
