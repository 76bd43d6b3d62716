package ingest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/pipelinetest"
	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/stages/ingest"
)

func stage(t *testing.T, rows int) pipeline.Stage {
	c := ingest.DefaultConfig()
	c.ShardRows = rows
	s, err := ingest.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// input orders files to be read: name, content, name, content, …
func input(order schemas.IngestOrder, files ...string) pipelinetest.Input {
	in := pipelinetest.Input{Kind: schemas.IngestRequest}
	for i := 0; i < len(files); i += 2 {
		content := []byte(files[i+1])
		in.Files = append(in.Files, content)
		order.Sources = append(order.Sources, schemas.Source{
			Name: files[i], Digest: string(artifact.Of(content)), Bytes: int64(len(content)),
		})
	}
	in.Data = order
	return in
}

// chats is a file of n conversations with a broken line in the middle.
func chats(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"messages":[{"role":"user","content":"订单 %d 呢？"},{"role":"assistant","content":"在路上。"}]}`+"\n", i)
		if i == n/2 {
			b.WriteString("{\"messages\":\n")
		}
	}
	return b.String()
}

func TestContract(t *testing.T) {
	poison := input(schemas.IngestOrder{Mapping: "turns: a\n"}, "a.jsonl", chats(1))
	pipelinetest.Exercise(t, func() pipeline.Stage { return stage(t, 40) }, pipelinetest.Fixture{
		Inputs: []pipelinetest.Input{
			input(schemas.IngestOrder{}, "desk/a.jsonl", chats(100), "b.csv", "session,sender,text\n1,客户,在吗\n1,客服,在的\n1\n"),
			input(schemas.IngestOrder{Format: "openai"}, "a.jsonl", chats(3)),
		},
		Poison: &poison,
	})
}

func TestShards(t *testing.T) {
	r := pipelinetest.Run(t, stage(t, 40), input(schemas.IngestOrder{}, "a.jsonl", chats(100)))
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	var sizes []int64
	for _, d := range r.Outputs[schemas.DialogueRaw] {
		sizes = append(sizes, d.Rows)
	}
	if diff := cmp.Diff([]int64{40, 40, 20}, sizes); diff != "" {
		t.Error(diff)
	}
	for i, d := range pipelinetest.Rows[schemas.Dialogue](t, r, schemas.DialogueRaw) {
		if want := fmt.Sprintf("订单 %d 呢？", i); d.Turns[0].Content != want || d.ID != d.ContentID() || d.Origin.File != "a.jsonl" {
			t.Fatalf("row %d is %+v", i, d)
		}
	}
	rejects := pipelinetest.Rows[schemas.Reject](t, r, schemas.DialogueReject)
	if len(rejects) != 1 || rejects[0].Rule != "malformed-json" || rejects[0].Origin.Line != 52 {
		t.Errorf("rejects %+v", rejects)
	}
}

func TestSourcesThatAreNotRead(t *testing.T) {
	r := pipelinetest.Run(t, stage(t, 40), input(schemas.IngestOrder{},
		"a.jsonl", chats(2), "../b.jsonl", chats(3), "c.jsonl", chats(2)))
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	var got []string
	for _, x := range pipelinetest.Rows[schemas.Reject](t, r, schemas.DialogueReject) {
		got = append(got, x.Rule+": "+x.Reason)
	}
	want := []string{
		"malformed-json: the JSON is malformed: unexpected end of JSON input",
		"unsafe-name: ../b.jsonl: its name leaves the ingested directory",
		"duplicate-file: c.jsonl: it has the same bytes as a.jsonl",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := len(pipelinetest.Rows[schemas.Dialogue](t, r, schemas.DialogueRaw)); n != 2 {
		t.Errorf("%d dialogues", n)
	}
}

func TestOrdersThatMakeNoSenseAreParked(t *testing.T) {
	for name, in := range map[string]pipelinetest.Input{
		"no source":      {Kind: schemas.IngestRequest, Data: schemas.IngestOrder{}},
		"unknown format": input(schemas.IngestOrder{Format: "xlsx"}, "a", "b"),
		"bad mapping":    input(schemas.IngestOrder{Mapping: "x: y"}, "a", "b"),
		"bad digest":     {Kind: schemas.IngestRequest, Data: schemas.IngestOrder{Sources: []schemas.Source{{Name: "a", Digest: "md5:0"}}}},
		"no order":       {Kind: schemas.IngestRequest, Data: 7},
	} {
		t.Run(name, func(t *testing.T) {
			if r := pipelinetest.Run(t, stage(t, 40), in); !pipeline.IsParked(r.Err) {
				t.Errorf("got %v, want a parked job", r.Err)
			}
		})
	}
}

// A file the store does not hold may come later: that is retried, not parked.
func TestMissingFileIsRetried(t *testing.T) {
	in := input(schemas.IngestOrder{}, "a.jsonl", chats(1))
	in.Files = nil
	if r := pipelinetest.Run(t, stage(t, 40), in); r.Err == nil || pipeline.IsParked(r.Err) || !strings.Contains(r.Err.Error(), "a.jsonl") {
		t.Errorf("got %v", r.Err)
	}
}

func TestConfig(t *testing.T) {
	if err := ingest.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	if _, err := ingest.New(ingest.Config{}); err == nil || !strings.Contains(err.Error(), "ingest.shard_rows is 0, want at least 1") {
		t.Errorf("got %v", err)
	}
}
