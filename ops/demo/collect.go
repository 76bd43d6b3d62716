package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/demo/corpus"
	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/pipeline/window"
	"github.com/glmflow/glmflow/schemas"
)

// collect reads the report's facts back from what the two runs published.
func (r *Report) collect(ctx context.Context, a *app.App, files int, ingested, trained ledger.Run, plan *corpus.Plan) error {
	r.Files = files
	r.Raw = ingested.Stage("ingest").RowsOut
	r.Rejected = ingested.Stage("ingest").Rejected
	found := findings{store: a.Store, plan: plan}
	pii := map[string]int64{}
	for ev, err := range a.Ledger.Events(ctx, ingested.ID) {
		if err != nil {
			return err
		}
		if !ev.Type.IsData() {
			continue
		}
		var d schemas.Dataset
		if err := ev.Decode(&d); err != nil {
			return err
		}
		if d.Kind == schemas.DialogueClean {
			if err := r.addRules(d.Meta, pii); err != nil {
				return err
			}
		}
		if err := found.add(ctx, d); err != nil {
			return err
		}
	}
	for kind, n := range pii {
		r.PII = append(r.PII, Count{kind, n})
	}
	slices.SortFunc(r.PII, func(a, b Count) int { return strings.Compare(a.Name, b.Name) })
	for _, o := range trained.Outputs {
		if err := r.addOutput(ctx, a.Store, o.Dataset); err != nil {
			return err
		}
	}
	if len(trained.Windows) == 0 {
		return fmt.Errorf("no window was cut: %s", notes(trained))
	}
	r.Window.Duplicates = trained.Stage(window.Name).Rejected
	if err := r.addWindow(ctx, a.Store, artifact.Digest(trained.Windows[0]), &found); err != nil {
		return err
	}
	if plan != nil {
		f := found.judge()
		r.Planted = &f
	}
	return nil
}

func notes(r ledger.Run) string {
	var texts []string
	for _, n := range r.Notes {
		texts = append(texts, n.Text)
	}
	return strings.Join(texts, "; ")
}

// addRules adds one shard's counts.
func (r *Report) addRules(meta map[string]string, pii map[string]int64) error {
	var rules []schemas.RuleCount
	if err := json.Unmarshal([]byte(meta[schemas.MetaRules]), &rules); err != nil {
		return fmt.Errorf("rule counts: %w", err)
	}
	for _, c := range rules {
		i := slices.IndexFunc(r.Rules, func(x schemas.RuleCount) bool { return x.Rule == c.Rule })
		if i < 0 {
			r.Rules = append(r.Rules, c)
			continue
		}
		r.Rules[i].In += c.In
		r.Rules[i].Out += c.Out
		r.Rules[i].Edited += c.Edited
	}
	var masked map[string]int64
	if err := json.Unmarshal([]byte(meta[schemas.MetaPII]), &masked); err != nil {
		return fmt.Errorf("personal data counts: %w", err)
	}
	for kind, n := range masked {
		pii[kind] += n
	}
	return nil
}

// addOutput takes the row of an adapter, a score or a release.
func (r *Report) addOutput(ctx context.Context, store *artifact.Store, d schemas.Dataset) error {
	switch d.Kind {
	case schemas.Adapter:
		return first(pipeline.RowsOf[schemas.AdapterRow](ctx, store, d), &r.Adapter)
	case schemas.Score:
		return first(pipeline.RowsOf[schemas.ScoreRow](ctx, store, d), &r.Score)
	case schemas.Release:
		r.Release = new(schemas.ReleaseRow)
		return first(pipeline.RowsOf[schemas.ReleaseRow](ctx, store, d), r.Release)
	}
	return nil
}

func first[T any](rows func(func(T, error) bool), into *T) error {
	for row, err := range rows {
		*into = row
		return err
	}
	return fmt.Errorf("a dataset of %T is empty", *into)
}

func (r *Report) addWindow(ctx context.Context, store *artifact.Store, digest artifact.Digest, found *findings) error {
	m, err := window.Load(ctx, store, digest)
	if err != nil {
		return err
	}
	w := &r.Window
	w.Digest = string(digest)
	for _, split := range []window.Split{window.Train, window.Validation, window.Test} {
		p := m.Part(split)
		w.In += p.Rows
		w.Tokens += p.Tokens
		w.Targets += p.Targets
		for row, err := range m.Rows(ctx, store, split) {
			if err != nil {
				return err
			}
			found.learned(row)
		}
	}
	w.In += w.Duplicates
	w.Train, w.Validation, w.Test = m.Part(window.Train).Rows, m.Part(window.Validation).Rows, m.Part(window.Test).Rows
	return nil
}
