package clean_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/pipelinetest"
	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/stages/clean"
)

func stage(t *testing.T) pipeline.Stage {
	s, err := clean.New(clean.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func dialogue(said ...string) schemas.Dialogue {
	d := schemas.Dialogue{Origin: schemas.Origin{File: "a.jsonl", Line: int64(len(said))}}
	for i, s := range said {
		d.Turns = append(d.Turns, schemas.Turn{Role: []string{schemas.RoleUser, schemas.RoleAssistant}[i%2], Content: s})
	}
	d.ID = d.ContentID()
	return d
}

func many(n int) []schemas.Dialogue {
	rows := []schemas.Dialogue{
		dialogue("我的手机是13800138000，订单呢？", "您好，13800138000 的订单明天到。"),
		dialogue("在吗，人呢"),
		dialogue("\u200b怎么退货？", "七天内都可以退。"),
		dialogue("怎么退货？", "七天内都可以退。"),
	}
	for i := range n {
		rows = append(rows, dialogue(fmt.Sprintf("请问 %d 号订单到哪了？", i), fmt.Sprintf("%d 号订单在路上。", i)))
	}
	return rows
}

func TestContract(t *testing.T) {
	poison := pipelinetest.Input{Kind: schemas.DialogueRaw, Data: schemas.Dataset{Kind: schemas.Tokens, Version: 1}}
	pipelinetest.Exercise(t, func() pipeline.Stage { return stage(t) }, pipelinetest.Fixture{
		Inputs: []pipelinetest.Input{
			{Kind: schemas.DialogueRaw, Rows: many(600)},
			{Kind: schemas.DialogueRaw, Rows: many(0)[1:2]}, // nothing is left of it
		},
		Poison: &poison,
	})
}

func TestEveryDialogueComesOutOnce(t *testing.T) {
	rows := many(600)
	r := pipelinetest.Run(t, stage(t), pipelinetest.Input{Kind: schemas.DialogueRaw, Rows: rows})
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	out := make(map[string]int)
	for _, d := range pipelinetest.Rows[schemas.Dialogue](t, r, schemas.DialogueClean) {
		out[d.ID]++
		if len(d.Signature) == 0 || d.Lang != "zh" {
			t.Fatalf("clean row %+v", d)
		}
	}
	rejects := pipelinetest.Rows[schemas.Reject](t, r, schemas.DialogueReject)
	var rules []string
	for _, x := range rejects {
		out[x.ID]++
		rules = append(rules, x.Rule)
		if x.Stage != "clean" || x.Reason == "" || x.Sample == "" || x.Origin.File != "a.jsonl" {
			t.Errorf("reject %+v", x)
		}
	}
	for _, d := range rows {
		if out[d.ID] != 1 {
			t.Errorf("dialogue %s came out %d times", d.ID, out[d.ID])
		}
	}
	if diff := cmp.Diff([]string{"roles", "exact-duplicate"}, rules); diff != "" {
		t.Error(diff)
	}
}

func TestCounts(t *testing.T) {
	r := pipelinetest.Run(t, stage(t), pipelinetest.Input{Kind: schemas.DialogueRaw, Rows: many(6)})
	if r.Err != nil || len(r.Outputs[schemas.DialogueClean]) != 1 {
		t.Fatal(r.Err, r.Outputs)
	}
	meta := r.Outputs[schemas.DialogueClean][0].Meta
	var counts []schemas.RuleCount
	if err := json.Unmarshal([]byte(meta[schemas.MetaRules]), &counts); err != nil {
		t.Fatal(err)
	}
	want := []schemas.RuleCount{
		{Rule: "unicode", In: 10, Out: 10, Edited: 1}, {Rule: "roles", In: 10, Out: 9}, {Rule: "language", In: 9, Out: 9},
		{Rule: "personal-data", In: 9, Out: 9, Edited: 1}, {Rule: "length", In: 9, Out: 9}, {Rule: "repetition", In: 9, Out: 9},
		{Rule: "exact-duplicate", In: 9, Out: 8},
	}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Error(diff)
	}
	if got := meta[schemas.MetaPII]; got != `{"mobile":2}` {
		t.Errorf("pii %s", got)
	}
}

// A reject's sample leaks nothing that would have been masked.
func TestSamplesAreMasked(t *testing.T) {
	r := pipelinetest.Run(t, stage(t), pipelinetest.Input{Kind: schemas.DialogueRaw, Rows: []schemas.Dialogue{
		dialogue("打我电话13800138000，或写信到a@b.cn " + strings.Repeat("快", 300)),
	}})
	rejects := pipelinetest.Rows[schemas.Reject](t, r, schemas.DialogueReject)
	if r.Err != nil || len(rejects) != 1 {
		t.Fatal(r.Err, rejects)
	}
	if s := rejects[0].Sample; !strings.HasPrefix(s, "user: 打我电话<PHONE_1>，或写信到<EMAIL_1> 快") || len(s) > 512 || !strings.HasSuffix(s, "快") {
		t.Errorf("sample %q of %d bytes", s, len(s))
	}
	if d := r.Outputs[schemas.DialogueClean]; len(d) != 1 || d[0].Rows != 0 {
		t.Errorf("clean datasets %+v, want one without rows that carries the counts", d)
	}
}

// Of 500 dialogues that people wrote with care, all stay but one of 46 turns.
func TestHonestDialoguesStay(t *testing.T) {
	f, err := os.Open("../../../shared/data/logs/crosswoz/val.messages.jsonl")
	if os.IsNotExist(err) {
		t.Skip("the shared data is absent")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []schemas.Dialogue
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var x struct {
			Messages []schemas.Turn `json:"messages"`
		}
		if err := json.Unmarshal(lines.Bytes(), &x); err != nil {
			t.Fatal(err)
		}
		d := schemas.Dialogue{Turns: x.Messages}
		d.ID = d.ContentID()
		rows = append(rows, d)
	}
	if err := lines.Err(); err != nil || len(rows) != 500 {
		t.Fatal(len(rows), err)
	}
	r := pipelinetest.Run(t, stage(t), pipelinetest.Input{Kind: schemas.DialogueRaw, Rows: rows})
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	var reasons []string
	for _, x := range pipelinetest.Rows[schemas.Reject](t, r, schemas.DialogueReject) {
		reasons = append(reasons, x.Reason)
	}
	if diff := cmp.Diff([]string{"46 turns, want at most 40"}, reasons); diff != "" {
		t.Error(diff)
	}
	for _, d := range pipelinetest.Rows[schemas.Dialogue](t, r, schemas.DialogueClean) {
		if d.Lang != "zh" {
			t.Errorf("%s is tagged %s", d.ID, d.Lang)
		}
	}
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*clean.Config)
		want   string
	}{
		"min turns":      {func(c *clean.Config) { c.MinTurns = 1 }, "clean.min_turns is 1"},
		"max turns":      {func(c *clean.Config) { c.MaxTurns = 1 }, "clean.max_turns is 1"},
		"min answer":     {func(c *clean.Config) { c.MinAnswer = -1 }, "clean.min_answer"},
		"max characters": {func(c *clean.Config) { c.MaxChars = 0 }, "clean.max_chars"},
		"max repetition": {func(c *clean.Config) { c.MaxRepetition = 1.5 }, "clean.max_repetition is 1.5"},
	} {
		t.Run(name, func(t *testing.T) {
			config := clean.DefaultConfig()
			c.change(&config)
			if _, err := clean.New(config); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if err := clean.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

// Of dialogues that are the same once cleaned, the one with the smallest id stays,
// whichever comes first.
func TestDuplicatesIgnoreOrder(t *testing.T) {
	plain, marked := dialogue("我的订单什么时候发货？", "您好，今天下午就会发货。"), dialogue("我的\u200b订单什么时候发货？", "您好，今天下午就会发货。")
	if plain.ID == marked.ID {
		t.Fatal("want two dialogues that differ before they are cleaned")
	}
	for _, rows := range [][]schemas.Dialogue{{plain, marked}, {marked, plain}} {
		r := pipelinetest.Run(t, stage(t), pipelinetest.Input{Kind: schemas.DialogueRaw, Rows: rows})
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		left := pipelinetest.Rows[schemas.Dialogue](t, r, schemas.DialogueClean)
		if len(left) != 1 || left[0].ID != min(plain.ID, marked.ID) {
			t.Errorf("%d dialogues stay, the first is %s, want %s alone", len(left), left[0].ID, min(plain.ID, marked.ID))
		}
	}
	// What is learned of a conversation is part of it.
	no := false
	mute := dialogue("我的订单什么时候发货？", "您好，今天下午就会发货。")
	mute.Turns = slices.Clone(mute.Turns)
	mute.Turns[len(mute.Turns)-1].Train = &no
	r := pipelinetest.Run(t, stage(t), pipelinetest.Input{Kind: schemas.DialogueRaw, Rows: []schemas.Dialogue{plain, mute}})
	if n := len(pipelinetest.Rows[schemas.Dialogue](t, r, schemas.DialogueClean)); r.Err != nil || n != 2 {
		t.Errorf("%d dialogues stay (%v), want both", n, r.Err)
	}
}
