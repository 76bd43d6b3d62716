package ingest

import (
	"bytes"
	"io"
	"testing"

	"github.com/glmflow/glmflow/schemas"
)

// repeated yields a letter many times.
type repeated struct{ left int }

func (r *repeated) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), r.left)
	for i := range p[:n] {
		p[i] = 'x'
	}
	r.left -= n
	return n, nil
}

func newConcat(before []byte, middle io.Reader, after []byte) io.Reader {
	return io.MultiReader(bytes.NewReader(before), middle, bytes.NewReader(after))
}

// Whatever the bytes, reading ends without a panic, every dialogue has an id and
// every reject a rule and a reason.
func FuzzRead(f *testing.F) {
	for name, data := range map[string]string{
		"a.jsonl": line1, "a.json": "[" + line1 + "]", "b.json": `{"x":{"y":` + line1 + `}}`,
		"a.csv": "session_id,sender,text,time\n1,user,\"a\nb\",2024-01-02 03:04:05\n1,agent,c,\n",
		"a.tsv": "会话编号\t发送方\t内容\n1\t客户\t在吗\n", "b.csv": "instruction;output\na;b\n",
		"c.jsonl": `{"tools":"[]","conversations":[{"role":"tool","name":"f","parameters":{"a":[1,"b",null]},"observation":{"x":true}}]}`,
		"d.jsonl": `{"conversations":[{"from":"function_call","value":"{\"name\":\"f\",\"arguments\":{}}"}]}`,
		"a.txt":   "\xc4\xe3\xba\xc3",
	} {
		f.Add(name, []byte(data))
	}
	c := DefaultConfig()
	c.RecordBytes = 4096
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		k := &kept{}
		if err := (&file{c: c, source: schemas.Source{Name: name}, out: k}).read(bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		for _, d := range k.dialogues {
			if d.ID == "" {
				t.Error("a dialogue without an id")
			}
		}
		for _, r := range k.rejects {
			if r.Rule == "" || r.Reason == "" || len(r.Sample) > maxSample {
				t.Errorf("reject %+v", r)
			}
		}
	})
}

// A mapping of any text over a record of any shape never panics.
func FuzzMapping(f *testing.F) {
	f.Add("turns: a.0\ntext: b\nrole: {path: c}\n", []byte(`{"a":[[{"b":"x","c":"user"}]]}`))
	f.Add("session: s\ntext: b\nrole: {keys: {u: user, a: assistant}}\n", []byte(`{"s":1,"b":"x","u":""}`))
	f.Fuzz(func(t *testing.T, yaml string, data []byte) {
		m, err := ParseMapping(yaml)
		if err != nil {
			return
		}
		if err := (&file{c: DefaultConfig(), mapping: m, out: &kept{}}).read(bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
	})
}
