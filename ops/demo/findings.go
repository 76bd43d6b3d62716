package demo

import (
	"context"
	"strings"
	"unicode"

	"github.com/glmflow/glmflow/ops/demo/corpus"
	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/schemas"
)

// Findings compare what was planted with what the flow made of it.
type Findings struct {
	Plants     []PlantCount
	Honest     int64 // conversations that should be learned
	HonestLost int64 // of these, conversations of which no copy was
}

// A PlantCount is one sort of plant.
type PlantCount struct {
	Plant   corpus.Plant
	Planted int64
	Found   int64
	Should  string // what should happen to it
}

// findings gather what is needed to judge, keyed by the shop's session ids.
type findings struct {
	store *artifact.Store
	plan  *corpus.Plan

	clean   map[string]schemas.Dialogue // conversations after cleaning
	survive map[string]bool             // conversations in the window
	unread  map[corpus.BrokenLine]bool  // lines that ingest rejected
}

// add looks into a dataset of the ingest run.
func (f *findings) add(ctx context.Context, d schemas.Dataset) error {
	if f.plan == nil {
		return nil
	}
	if f.clean == nil {
		f.clean, f.survive, f.unread = map[string]schemas.Dialogue{}, map[string]bool{}, map[corpus.BrokenLine]bool{}
	}
	switch d.Kind {
	case schemas.DialogueClean:
		for row, err := range pipeline.RowsOf[schemas.Dialogue](ctx, f.store, d) {
			if err != nil {
				return err
			}
			f.clean[row.Origin.Key] = row
		}
	case schemas.DialogueReject:
		for row, err := range pipeline.RowsOf[schemas.Reject](ctx, f.store, d) {
			if err != nil {
				return err
			}
			if row.Stage == "ingest" {
				f.unread[corpus.BrokenLine{File: row.Origin.File, Line: int(row.Origin.Line)}] = true
			}
		}
	}
	return nil
}

// learned hears of a row of the window.
func (f *findings) learned(row schemas.TokenRow) {
	if f.plan != nil {
		f.survive[row.Origin.Key] = true
	}
}

func (f *findings) judge() Findings {
	var out Findings
	copies := map[string][]string{}
	counts := map[corpus.Plant]*PlantCount{}
	for _, p := range corpus.Plants() {
		counts[p] = &PlantCount{Plant: p, Should: should(p)}
	}
	for _, c := range f.plan.Conversations {
		if c.Of != "" {
			copies[c.Of] = append(copies[c.Of], c.Key)
		}
	}
	for _, c := range f.plan.Conversations {
		if n := counts[c.Plant]; n != nil {
			n.Planted++
			if f.found(c) {
				n.Found++
			}
		}
		if c.Plant.Dropped() {
			continue
		}
		out.Honest++
		kept := f.survive[c.Key]
		for _, other := range copies[c.Key] {
			kept = kept || f.survive[other]
		}
		if !kept {
			out.HonestLost++
		}
	}
	for _, p := range corpus.Plants() {
		out.Plants = append(out.Plants, *counts[p])
	}
	broken := PlantCount{Plant: "broken-line", Planted: int64(len(f.plan.Broken)), Should: "keep the reason"}
	for _, b := range f.plan.Broken {
		if f.unread[b] {
			broken.Found++
		}
	}
	out.Plants = append(out.Plants, broken)
	return out
}

func should(p corpus.Plant) string {
	switch {
	case p.Dropped():
		return "drop"
	case p == corpus.Personal:
		return "mask"
	case p == corpus.Typing:
		return "keep"
	}
	return "mend and keep"
}

// found reports whether the flow did with c what it should.
func (f *findings) found(c corpus.Conversation) bool {
	row, kept := f.clean[c.Key]
	switch c.Plant {
	case corpus.ExactCopy, corpus.NearCopy:
		return !(f.survive[c.Key] && f.survive[c.Of])
	case corpus.NoAnswer, corpus.Looping, corpus.Contents:
		return !f.survive[c.Key]
	case corpus.Personal:
		return !leaks(row, c.Secrets)
	case corpus.FullWidth:
		return kept && !anyRune(row, func(r rune) bool {
			return r > 0xFF00 && r < 0xFF5F && unicode.In(r-0xFEE0, unicode.Letter, unicode.Digit)
		})
	case corpus.Invisible:
		return kept && !anyRune(row, func(r rune) bool { return r == '\u200b' || r == '\ufeff' || r == '\x07' })
	case corpus.SplitTurn:
		return kept && alternates(row)
	}
	return f.survive[c.Key]
}

// leaks reports whether a secret can still be read, with or without its blanks
// and dashes.
func leaks(d schemas.Dialogue, secrets []corpus.Secret) bool {
	var text strings.Builder
	for _, t := range d.Turns {
		text.WriteString(t.Content + "\n")
	}
	squeeze := strings.NewReplacer(" ", "", "-", "").Replace
	for _, s := range secrets {
		if strings.Contains(squeeze(text.String()), squeeze(s.Value)) {
			return true
		}
	}
	return false
}

func anyRune(d schemas.Dialogue, bad func(rune) bool) bool {
	for _, t := range d.Turns {
		if strings.ContainsFunc(t.Content, bad) {
			return true
		}
	}
	return false
}

func alternates(d schemas.Dialogue) bool {
	for i := 1; i < len(d.Turns); i++ {
		if d.Turns[i].Role == d.Turns[i-1].Role {
			return false
		}
	}
	return true
}
