package window

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/pipelinetest"
	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/schemas/parquetio"
)

// catalog is a [Catalog] that always says the same.
type catalog struct {
	fresh Fresh
	err   error
}

func (c catalog) Fresh(context.Context, string, []string) (Fresh, error) { return c.fresh, c.err }

// conversation makes the i-th of endless different conversations; copies of it
// differ in one word.
func conversation(i, copy int) schemas.TokenRow {
	var text strings.Builder
	for w := range 60 {
		fmt.Fprintf(&text, "%x ", (i*7919+w*104729)*2654435761%1000003)
	}
	if copy > 0 {
		fmt.Fprintf(&text, "copy%d", copy)
	}
	d := schemas.Dialogue{Turns: []schemas.Turn{{Role: schemas.RoleUser, Content: text.String()}}}
	return schemas.TokenRow{
		ID: d.ContentID(), IDs: []int32{1, int32(i), 2}, Labels: []int32{-100, int32(i), 2}, Targets: 2,
		Signature: Signature(text.String()), Origin: schemas.Origin{File: "log.jsonl", Line: int64(i)},
	}
}

func conversationsFrom(from, n int) []schemas.TokenRow {
	var rows []schemas.TokenRow
	for i := range n {
		rows = append(rows, conversation(from+i, 0))
	}
	return rows
}

// source stores rows as one dataset.
func source(t testing.TB, store *artifact.Store, name string, rows []schemas.TokenRow) Source {
	t.Helper()
	var file bytes.Buffer
	if _, err := parquetio.Write(&file, schemas.Tokens, func(yield func(schemas.TokenRow, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}, nil); err != nil {
		t.Fatal(err)
	}
	digest, err := store.PutBytes(context.Background(), file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return Source{Event: name, Dataset: schemas.Dataset{
		Kind: schemas.Tokens, Version: 1, Digest: string(digest), Rows: int64(len(rows)), Meta: map[string]string{"vocab": "v1"},
	}}
}

// cut does one order and returns what came of it; due is nil when no window was
// cut.
func cut(t testing.TB, store *artifact.Store, config Config, fresh Fresh) (due *schemas.TrainJob, m *Manifest, h pipeline.Handover) {
	t.Helper()
	c, err := New(config, catalog{fresh: fresh})
	if err != nil {
		t.Fatal(err)
	}
	ev := pipelinetest.Input{Kind: schemas.TrainRequest, Data: schemas.TrainOrder{Reason: "test"}}.Event(t, store)
	h, err = pipeline.Do(context.Background(), c, ev, pipeline.Options{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Posted) == 0 {
		return nil, nil, h
	}
	due = new(schemas.TrainJob)
	if err := h.Posted[0].Decode(due); err != nil {
		t.Fatal(err)
	}
	m, err = Load(context.Background(), store, artifact.Digest(due.Window))
	if err != nil {
		t.Fatal(err)
	}
	return due, m, h
}

// dropped counts the rows that a window left out by their rule.
func dropped(t testing.TB, store *artifact.Store, h pipeline.Handover) map[string]int {
	t.Helper()
	rules := map[string]int{}
	for _, ev := range h.Data {
		for row, err := range pipeline.RowsOf[schemas.Reject](context.Background(), store, dataset(t, ev)) {
			if err != nil {
				t.Fatal(err)
			}
			rules[row.Rule]++
		}
	}
	return rules
}

func ids(t testing.TB, store *artifact.Store, m *Manifest, split Split) []string {
	t.Helper()
	var ids []string
	for row, err := range m.Rows(context.Background(), store, split) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, row.ID)
	}
	return ids
}

func TestCutterDropsAndSplits(t *testing.T) {
	store := pipelinetest.Store(t)
	rows := conversationsFrom(0, 200)
	rows = append(rows, conversation(3, 0), conversation(3, 0)) // exact
	rows = append(rows, conversation(7, 1), conversation(7, 2)) // near, of 7 and of each other
	nothing := conversation(999, 0)
	nothing.Targets = 0
	due, m, h := cut(t, store, DefaultConfig(), Fresh{
		Sources: []Source{source(t, store, "a", rows), source(t, store, "b", []schemas.TokenRow{nothing})},
	})
	if due == nil {
		t.Fatalf("no window: %s", h.Done.Note)
	}
	if diff := cmp.Diff(map[string]int{"exact-duplicate": 2, "near-duplicate": 2, "no-target": 1}, dropped(t, store, h)); diff != "" {
		t.Errorf("dropped (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "b"}, due.Datasets); diff != "" {
		t.Errorf("datasets (-want +got):\n%s", diff)
	}
	var all []string
	for _, p := range m.Parts {
		got := ids(t, store, m, p.Split)
		if !slices.IsSorted(got) || int64(len(got)) != p.Rows || p.Targets != 2*p.Rows || p.Tokens != 3*p.Rows {
			t.Errorf("part %+v holds %d rows, sorted: %v", p, len(got), slices.IsSorted(got))
		}
		if share := float64(len(got)) / 200; p.Split != Train && (share < 0.03 || share > 0.2) {
			t.Errorf("%s has a share of %v", p.Split, share)
		}
		all = append(all, got...)
	}
	slices.Sort(all)
	if len(slices.Compact(all)) != 200 {
		t.Errorf("the splits hold %d different rows, want 200", len(all))
	}
	if len(h.Data) != 1 || h.Data[0].Type != schemas.DialogueReject {
		t.Errorf("handed over %v, want one dataset of rejects", h.Data)
	}
	if !strings.Contains(h.Done.Note, "near-duplicate 2") {
		t.Errorf("note %q does not say what was left out", h.Done.Note)
	}
}

// copies is a corpus of conversations with copies of all sorts.
func copies() []schemas.TokenRow {
	var rows []schemas.TokenRow
	for i := range 40 {
		rows = append(rows, conversation(i, 0), conversation(i, i%3))
	}
	return rows
}

// TestCutterIgnoresShards is the metamorphic property that the whole flow rests
// on: how rows were cut into datasets, in which order they came and how often,
// changes no byte of the window.
func TestCutterIgnoresShards(t *testing.T) {
	store, rows := pipelinetest.Store(t), copies()
	windows := map[string]bool{}
	for _, size := range []int{1, 7, len(rows)} {
		var sources []Source
		for shard := range slices.Chunk(rows, size) {
			sources = append(sources, source(t, store, fmt.Sprint(len(sources)), shard))
		}
		due, _, _ := cut(t, store, DefaultConfig(), Fresh{Sources: sources})
		windows[due.Window] = true
		slices.Reverse(rows)
	}
	if len(windows) != 1 {
		t.Errorf("three ways to cut the same rows give the windows %v", windows)
	}
}

// TestCutterIgnoresCopies: clean drops the copies within one shard, so how many
// of them come here depends on the shards. The window does not.
func TestCutterIgnoresCopies(t *testing.T) {
	store, rows := pipelinetest.Store(t), conversationsFrom(0, 40)
	few, _, _ := cut(t, store, DefaultConfig(), Fresh{Sources: []Source{source(t, store, "few", rows)}})
	many, _, h := cut(t, store, DefaultConfig(), Fresh{Sources: []Source{source(t, store, "many", append(rows, rows[3], rows[7]))}})
	if drops := dropped(t, store, h); drops[ruleExact] != 2 {
		t.Errorf("dropped %v, want both copies", drops)
	}
	if few.Window != many.Window {
		t.Errorf("window %s without copies, %s with", few.Window, many.Window)
	}
}

// TestSiftIgnoresOrder is the same for any order, and cheap enough to try many.
func TestSiftIgnoresOrder(t *testing.T) {
	var all []candidate
	for _, row := range copies() {
		all = append(all, candidate{TokenRow: row})
	}
	dealt := func(rows []candidate) (map[Split][]schemas.TokenRow, []schemas.Reject) {
		kept, dropped := sift(slices.Clone(rows), "", new(memory))
		return deal(kept, "k", 0.1, 0.1, 2), dropped
	}
	splits, dropped := dealt(all)
	rapid.Check(t, func(t *rapid.T) {
		gotSplits, gotDropped := dealt(rapid.Permutation(all).Draw(t, "order"))
		if diff := cmp.Diff(splits, gotSplits); diff != "" {
			t.Fatalf("splits (-sorted +shuffled):\n%s", diff)
		}
		if diff := cmp.Diff(dropped, gotDropped); diff != "" {
			t.Fatalf("dropped (-sorted +shuffled):\n%s", diff)
		}
	})
}

func TestCutterRemembers(t *testing.T) {
	store := pipelinetest.Store(t)
	first, _, _ := cut(t, store, DefaultConfig(), Fresh{Sources: []Source{source(t, store, "monday", conversationsFrom(0, 30))}})
	tuesday := append(conversationsFrom(100, 30), conversation(5, 0), conversation(6, 1))
	second, m, h := cut(t, store, DefaultConfig(), Fresh{
		Sources: []Source{source(t, store, "tuesday", tuesday)}, Windows: []string{first.Window},
	})
	if second == nil {
		t.Fatal(h.Done.Note)
	}
	if diff := cmp.Diff(map[string]int{"exact-duplicate": 1, "near-duplicate": 1}, dropped(t, store, h)); diff != "" {
		t.Errorf("dropped (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{first.Window}, m.Against); diff != "" {
		t.Errorf("against (-want +got):\n%s", diff)
	}
	var reasons []string
	for row, err := range pipeline.RowsOf[schemas.Reject](context.Background(), store, dataset(t, h.Data[0])) {
		if err != nil {
			t.Fatal(err)
		}
		reasons = append(reasons, row.Rule+": "+row.Reason)
	}
	if !slices.ContainsFunc(reasons, func(r string) bool {
		return strings.HasPrefix(r, "near-duplicate: ") && strings.HasSuffix(r, conversation(6, 0).ID+" in an earlier window")
	}) {
		t.Errorf("reasons %q do not name the published copy", reasons)
	}
	// Without memory the same order learns both again.
	forgetful := DefaultConfig()
	forgetful.Memory = 0
	_, _, h = cut(t, store, forgetful, Fresh{Sources: []Source{source(t, store, "tuesday", tuesday)}, Windows: []string{first.Window}})
	if drops := dropped(t, store, h); len(drops) != 0 {
		t.Errorf("dropped %v although memory is 0", drops)
	}
}

func dataset(t testing.TB, ev schemas.Event) (d schemas.Dataset) {
	t.Helper()
	if err := ev.Decode(&d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestCutterNeedsEnough(t *testing.T) {
	store := pipelinetest.Store(t)
	returned := source(t, store, "old", conversationsFrom(0, 50))
	returned.Returned = true
	tests := []struct {
		name    string
		sources []Source
		says    string // in the note; "" means a window is cut
	}{
		{"nothing", nil, "0 conversations are new, 10 needed"},
		{"too few", []Source{source(t, store, "a", conversationsFrom(100, 9))}, "9 conversations are new, 10 needed"},
		{"one", []Source{source(t, store, "a", conversationsFrom(100, 1))}, "1 conversation is new"},
		{"copies", []Source{source(t, store, "a", append(conversationsFrom(100, 9), conversation(100, 1)))}, "dropped 1 (near-duplicate 1)"},
		{"only returned", []Source{returned}, "0 conversations are new, 10 needed"},
		{"returned and a few", []Source{returned, source(t, store, "a", conversationsFrom(100, 9))}, "9 conversations are new"},
		{"just enough", []Source{source(t, store, "a", conversationsFrom(100, 10))}, ""},
		{"returned and enough", []Source{returned, source(t, store, "a", conversationsFrom(100, 10))}, ""},
	}
	for _, test := range tests {
		due, m, h := cut(t, store, DefaultConfig(), Fresh{Sources: test.sources})
		if test.says == "" {
			if due == nil {
				t.Errorf("%s: no window: %s", test.name, h.Done.Note)
				continue
			}
			for _, split := range []Split{Validation, Test} {
				if m.Part(split).Rows < 2 {
					t.Errorf("%s: %s has %d rows", test.name, split, m.Part(split).Rows)
				}
			}
			continue
		}
		if due != nil || len(h.Data) > 0 || !strings.Contains(h.Done.Note, test.says) {
			t.Errorf("%s: window %v, note %q; want a note with %q", test.name, due, h.Done.Note, test.says)
		}
	}
}

// TestCutterNamesWhoIsBusy: an order that finds nothing, because another has just
// taken it, says so.
func TestCutterNamesWhoIsBusy(t *testing.T) {
	due, _, h := cut(t, pipelinetest.Store(t), DefaultConfig(), Fresh{Busy: []string{"train-1"}})
	if due != nil || !strings.HasSuffix(h.Done.Note, "what came before is being learned by run train-1") {
		t.Errorf("window %v, note %q", due, h.Done.Note)
	}
}

// TestSplitStays checks that a row's split does not depend on its window, as
// long as chance gives each split enough rows.
func TestSplitStays(t *testing.T) {
	var rows []candidate
	for i := range 400 {
		rows = append(rows, candidate{TokenRow: schemas.TokenRow{ID: fmt.Sprint(i)}})
	}
	splitOf := func(rows []candidate, key string) map[string]Split {
		of := map[string]Split{}
		for split, members := range deal(rows, key, 0.1, 0.1, 2) {
			for _, row := range members {
				of[row.ID] = split
			}
		}
		return of
	}
	whole, moved := splitOf(rows, "k"), 0
	for id, split := range splitOf(rows[100:300], "k") {
		if whole[id] != split {
			t.Errorf("row %s went from %s to %s", id, whole[id], split)
		}
	}
	for id, split := range splitOf(rows, "another key") {
		if whole[id] != split {
			moved++
		}
	}
	if moved == 0 {
		t.Error("another key gives the same split")
	}
}

func TestCutterFits(t *testing.T) {
	store := pipelinetest.Store(t)
	config := DefaultConfig()
	config.MaxRows = 40
	returned := source(t, store, "returned", conversationsFrom(0, 40))
	returned.Returned = true
	due, _, h := cut(t, store, config, Fresh{Sources: []Source{
		returned, source(t, store, "a", conversationsFrom(100, 30)), source(t, store, "b", conversationsFrom(200, 30)),
	}})
	if due == nil || !slices.Equal(due.Datasets, []string{"a"}) || !strings.Contains(h.Done.Note, "2 datasets wait") {
		t.Errorf("took %+v, note %q; want dataset a alone and two that wait", due, h.Done.Note)
	}
}

func TestCutterVocabulary(t *testing.T) {
	store := pipelinetest.Store(t)
	old, now := source(t, store, "old", conversationsFrom(0, 12)), source(t, store, "now", conversationsFrom(50, 12))
	old.Dataset.Meta = map[string]string{"vocab": "v0"}
	_, m, h := cut(t, store, DefaultConfig(), Fresh{Sources: []Source{old, now}})
	if drops := dropped(t, store, h); m.Vocab != "v1" || !cmp.Equal(drops, map[string]int{"vocabulary": 12}) {
		t.Errorf("vocabulary %q, dropped %v", m.Vocab, drops)
	}
}

func TestCutterConformance(t *testing.T) {
	files, fresh := conformanceSource(t)
	pipelinetest.Exercise(t, func() pipeline.Stage {
		c, err := New(DefaultConfig(), catalog{fresh: fresh})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}, pipelinetest.Fixture{
		Inputs: []pipelinetest.Input{{Kind: schemas.TrainRequest, Data: schemas.TrainOrder{Reason: "test"}, Files: files}},
		Poison: &pipelinetest.Input{Kind: schemas.TrainRequest, Data: "not an order"},
	})
}

func conformanceSource(t *testing.T) ([][]byte, Fresh) {
	store := pipelinetest.Store(t)
	s := source(t, store, "a", conversationsFrom(0, 30))
	body, err := store.Bytes(context.Background(), artifact.Digest(s.Dataset.Digest), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return [][]byte{body}, Fresh{Sources: []Source{s}}
}

func TestNewRefuses(t *testing.T) {
	tests := map[string]func(*Config){
		"model":        func(c *Config) { c.Model = "" },
		"min_held_out": func(c *Config) { c.MinHeldOut = 0 },
		"min_rows":     func(c *Config) { c.MinRows = 5 },
		"max_rows":     func(c *Config) { c.MaxRows = 1 },
		"validation":   func(c *Config) { c.Validation = 0.5 },
		"test":         func(c *Config) { c.Test = 0 },
		"memory":       func(c *Config) { c.Memory = -1 },
	}
	for says, change := range tests {
		config := DefaultConfig()
		change(&config)
		if _, err := New(config, catalog{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want an error about %s", err, says)
		}
	}
	if _, err := New(DefaultConfig(), nil); err == nil {
		t.Error("a cutter without a catalog")
	}
}

func TestCutterParksNames(t *testing.T) {
	c, err := New(DefaultConfig(), catalog{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a b", "a@b", "a:1", "../a", "a.b", ">", strings.Repeat("a", 65)} {
		r := pipelinetest.Run(t, c, pipelinetest.Input{Kind: schemas.TrainRequest, Data: schemas.TrainOrder{Model: name}})
		if !pipeline.IsParked(r.Err) {
			t.Errorf("order for a model called %q: %v, want it parked", name, r.Err)
		}
	}
}

func TestCutterPassesCatalogError(t *testing.T) {
	broken := errors.New("broker is away")
	c, err := New(DefaultConfig(), catalog{err: broken})
	if err != nil {
		t.Fatal(err)
	}
	r := pipelinetest.Run(t, c, pipelinetest.Input{Kind: schemas.TrainRequest, Data: schemas.TrainOrder{}})
	if !errors.Is(r.Err, broken) || pipeline.IsParked(r.Err) {
		t.Errorf("error %v; want one that is retried", r.Err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"version":1,"vocab":"","key":"k","parts":[{"split":"train","members":"sha256:00","rows":1}],"against":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		store, err := artifact.Open(t.Context(), "mem://")
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		digest, err := store.PutBytes(t.Context(), body)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Load(t.Context(), store, digest)
		if err != nil {
			return
		}
		for _, err := range m.Rows(t.Context(), store, Train) {
			if err != nil {
				return
			}
		}
	})
}
