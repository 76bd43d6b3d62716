package tokenize

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/pipelinetest"
	"github.com/glmflow/glmflow/schemas"
)

const shared = "../../../shared/data"

func small(t testing.TB) tokenizer.Encoder {
	t.Helper()
	model, err := tokenizer.Train(slices.Values([]string{"hello there, order refund", "你好，退款 订单", "abcdefghijklmnopqrstuvwxyz"}), 330)
	if err != nil {
		t.Fatal(err)
	}
	enc, err := tokenizer.Parse(model)
	if err != nil {
		t.Fatal(err)
	}
	return enc
}

func newStage(t testing.TB, c Config, enc tokenizer.Encoder) *Stage {
	t.Helper()
	s, err := New(c, enc)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func dialogue(id string, turns ...string) schemas.Dialogue {
	d := schemas.Dialogue{ID: id, Lang: "en", Signature: []uint32{1, 2, 3}, Origin: schemas.Origin{File: "a.jsonl", Line: 7}}
	for i, text := range turns {
		d.Turns = append(d.Turns, schemas.Turn{Role: []string{schemas.RoleUser, schemas.RoleAssistant}[i%2], Content: text})
	}
	return d
}

func TestContract(t *testing.T) {
	enc := small(t)
	var many []schemas.Dialogue
	for i := range 3 * batchSize {
		many = append(many, dialogue(strconv.Itoa(i), "order "+strconv.Itoa(i), "refund"))
	}
	pipelinetest.Exercise(t, func() pipeline.Stage { return newStage(t, DefaultConfig(), enc) }, pipelinetest.Fixture{
		Inputs: []pipelinetest.Input{
			{Kind: schemas.DialogueClean, Rows: []schemas.Dialogue{dialogue("a", "hello", "你好"), dialogue("b", "no answer")}},
			{Kind: schemas.DialogueClean, Rows: many},
		},
		Poison: &pipelinetest.Input{Kind: schemas.DialogueClean, Data: schemas.Dataset{Kind: schemas.DialogueClean, Version: 1 << 20}},
	})
}

func TestRows(t *testing.T) {
	enc := small(t)
	broken := dialogue("broken", "x", "y")
	broken.Tools = "{"
	odd := dialogue("odd", "x", "y")
	odd.Turns[0].Role = "bot"
	long := dialogue("long", "x", "short", "x", strings.Repeat("refund ", 200))
	in := []schemas.Dialogue{
		dialogue("plain", "hello", "订单▁ \xff"), dialogue("question", "hello"), broken, odd, long, dialogue("endless question", strings.Repeat("z", 500), "y"),
	}
	c := DefaultConfig()
	c.MaxLength = 64
	r := pipelinetest.Run(t, newStage(t, c, enc), pipelinetest.Input{Kind: schemas.DialogueClean, Rows: in})
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	rows := pipelinetest.Rows[schemas.TokenRow](t, r, schemas.Tokens)
	s := tokenizer.SpecialsOf(enc.Pieces())
	var got []string
	var tokens, targets int
	for _, row := range rows {
		got = append(got, row.ID)
		tokens += len(row.IDs)
		targets += int(row.Targets)
		if len(row.IDs) > c.MaxLength || len(row.IDs) != len(row.Labels) || row.IDs[0] != s.GMask || row.IDs[len(row.IDs)-1] != tokenizer.EOS {
			t.Errorf("row %s: %d ids, %d labels: %v", row.ID, len(row.IDs), len(row.Labels), row.IDs)
		}
		if row.Truncated != (row.ID != "plain") {
			t.Errorf("row %s: truncated is %v", row.ID, row.Truncated)
		}
		if d := cmp.Diff(in[0].Signature, row.Signature); d != "" || row.Origin != in[0].Origin || row.Lang != "en" {
			t.Errorf("row %s lost where it comes from: %+v", row.ID, row)
		}
	}
	if want := []string{"plain", "long", "endless question"}; !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
	want := map[string]string{"vocab": enc.Digest(), "tokens": strconv.Itoa(tokens), "targets": strconv.Itoa(targets), "truncated": "2"}
	if d := cmp.Diff(want, r.Outputs[schemas.Tokens][0].Meta); d != "" {
		t.Errorf("meta (-want +got):\n%s", d)
	}
	rules := map[string]string{}
	for _, reject := range pipelinetest.Rows[schemas.Reject](t, r, schemas.DialogueReject) {
		rules[reject.ID] = reject.Rule
		if reject.Reason == "" || reject.Stage != stageName || !strings.HasPrefix(reject.Sample, "user: ") && reject.ID != "odd" {
			t.Errorf("reject %+v", reject)
		}
	}
	if d := cmp.Diff(map[string]string{"question": ruleNoTarget, "broken": ruleChatFormat, "odd": ruleChatFormat}, rules); d != "" {
		t.Errorf("rejects (-want +got):\n%s", d)
	}
}

func TestTurnEnd(t *testing.T) {
	enc := small(t)
	c := DefaultConfig()
	c.TurnEnd = TurnEndEOS
	row, reject := newStage(t, c, enc).Encode(dialogue("a", "x", "y", "x", "y"))
	if reject != nil {
		t.Fatal(reject)
	}
	at := 1 + slices.Index(row.IDs[3:], tokenizer.SpecialsOf(enc.Pieces()).User) + 2
	if row.Labels[at] != tokenizer.EOS {
		t.Errorf("the label at the second <|user|> is %d, want the end token", row.Labels[at])
	}
}

// forgetful is an encoder that loses a word, as a vocabulary of another model would.
type forgetful struct{ tokenizer.Encoder }

func (f forgetful) Encode(text string) []int32 {
	return f.Encoder.Encode(strings.ReplaceAll(text, "refund", ""))
}

func TestParity(t *testing.T) {
	s := newStage(t, DefaultConfig(), forgetful{small(t)})
	if _, reject := s.Encode(dialogue("a", "a refund", "y")); reject == nil || reject.Rule != ruleParity || !strings.Contains(reject.Reason, "refund") {
		t.Errorf("reject %+v, want one that shows the loss", reject)
	}
	if _, reject := s.Encode(dialogue("b", "x", "y")); reject != nil {
		t.Errorf("reject %+v", reject)
	}
}

// TestShards cuts the same conversations differently: the rows stay.
func TestShards(t *testing.T) {
	enc := small(t)
	var all []schemas.Dialogue
	for i := range 30 {
		all = append(all, dialogue(strconv.Itoa(i), strings.Repeat("hello ", i), strings.Repeat("订单", i)))
	}
	rows := func(size int) (out []schemas.TokenRow) {
		for shard := range slices.Chunk(all, size) {
			r := pipelinetest.Run(t, newStage(t, DefaultConfig(), enc), pipelinetest.Input{Kind: schemas.DialogueClean, Rows: shard})
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			out = append(out, pipelinetest.Rows[schemas.TokenRow](t, r, schemas.Tokens)...)
		}
		return out
	}
	if d := cmp.Diff(rows(30), rows(7)); d != "" {
		t.Errorf("rows depend on the shards:\n%s", d)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []Config{{}, {MaxLength: 8, TurnEnd: TurnEndRole}, {MaxLength: 100, TurnEnd: "never"}} {
		if _, err := New(c, small(t)); err == nil {
			t.Errorf("%+v must not validate", c)
		}
	}
	if _, err := New(DefaultConfig(), nil); err == nil {
		t.Error("a stage without a vocabulary must not be made")
	}
}

// TestRealLogs encodes real conversations with the real vocabulary; nothing may
// be lost on the way.
func TestRealLogs(t *testing.T) {
	path := filepath.Join(shared, "logs", "crosswoz", "val.messages.jsonl")
	f, err := os.Open(path)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	enc, err := tokenizer.Open(filepath.Join(shared, "chatglm3"), tokenizer.Auto)
	if err != nil {
		t.Skip(err)
	}
	stage := newStage(t, DefaultConfig(), enc)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	n := 0
	for lines.Scan() && n < 100 {
		var record struct {
			Messages []schemas.Turn `json:"messages"`
		}
		if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
			t.Fatal(err)
		}
		row, reject := stage.Encode(schemas.Dialogue{Turns: record.Messages})
		if reject != nil || row.Targets == 0 || row.Truncated {
			t.Errorf("conversation %d: %d targets, truncated %v, %+v", n, row.Targets, row.Truncated, reject)
		}
		n++
	}
	if n != 100 {
		t.Errorf("%d conversations, want 100", n)
	}
}
