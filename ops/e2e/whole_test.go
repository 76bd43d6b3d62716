package e2e

import (
	"crypto/rand"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/lineage"
	"github.com/glmflow/glmflow/pipeline/window"
	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/stages/publish"
)

// TestWhole goes the whole way twice: from customers' logs to a model in
// production, then from later logs to its successor.
func TestWhole(t *testing.T) {
	t.Parallel()
	c := settings(t, base(t))
	c.Train.Epochs = 4 // enough to pass the gate twice
	f := join(t, c, true)
	first, plan := conversations(t, 1, 80)
	run := f.ingest(first)

	// Every conversation of the logs was read, and is accounted for.
	in, clean := run.Stage("ingest"), run.Stage("clean")
	if in.RowsOut != int64(len(plan.Conversations)) || in.Rejected != int64(len(plan.Broken)) {
		t.Errorf("ingest read %d and rejected %d, want %d and %d", in.RowsOut, in.Rejected, len(plan.Conversations), len(plan.Broken))
	}
	if clean.RowsIn != in.RowsOut || clean.RowsOut+clean.Rejected != clean.RowsIn || clean.Rejected == 0 {
		t.Errorf("clean took %d of %d, kept %d and rejected %d", clean.RowsIn, in.RowsOut, clean.RowsOut, clean.Rejected)
	}

	trained := f.train("train-1")
	adapter, _ := output[schemas.AdapterRow](f, trained, schemas.Adapter)
	score, _ := output[schemas.ScoreRow](f, trained, schemas.Score)
	release, _ := output[schemas.ReleaseRow](f, trained, schemas.Release)
	if adapter.Parent != "" || adapter.Steps == 0 {
		t.Errorf("adapter continues %q after %d steps, want a new one", adapter.Parent, adapter.Steps)
	}
	if !score.Passed || !release.Promoted || release.Version != 1 {
		t.Fatalf("version %d: passed %v, promoted %v, rules %+v", release.Version, score.Passed, release.Promoted, score.Rules)
	}
	f.verify(release, adapter)
	learned := f.rows(release.Window)

	// The same files again are the same order: nothing happens.
	before := f.made(run.ID)
	if again := f.ingest(first); again.ID != run.ID || again.Last != run.Last {
		t.Errorf("the same files again are run %s up to %d, want %s up to %d", again.ID, again.Last, run.ID, run.Last)
	}
	// The same bytes under another name are read, and bring nothing new.
	file := filepath.Join(first, "desk", "openai.jsonl")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy.jsonl")
	if err := os.WriteFile(copied, text, 0o644); err != nil {
		t.Fatal(err)
	}
	f.ingest(copied)
	if idle := f.train("train-copy"); len(idle.Windows) != 0 || len(idle.Notes) != 1 {
		t.Errorf("a copy of a file led to windows %v, notes %v", idle.Windows, idle.Notes)
	}
	if after := f.made(run.ID); !slices.Equal(before, after) {
		t.Errorf("the first run grew from %d to %d datasets", len(before), len(after))
	}

	// Later conversations continue what is in production, on themselves alone.
	second, _ := conversations(t, 2, 120)
	f.ingest(second)
	next := f.train("train-2")
	successor, _ := output[schemas.AdapterRow](f, next, schemas.Adapter)
	if successor.Parent != adapter.Files {
		t.Errorf("the second adapter continues %q, want production's %s", successor.Parent, adapter.Files)
	}
	for id, file := range f.rows(successor.Window) {
		if _, old := learned[id]; old {
			t.Errorf("conversation %s of %s is in both windows", id, file)
		}
	}
	latest, _ := output[schemas.ReleaseRow](f, next, schemas.Release)
	f.verify(latest, successor)
	if score, _ := output[schemas.ScoreRow](f, next, schemas.Score); score.Baseline != "assistant:1" || !score.Passed {
		t.Errorf("the successor was compared with %q and passed %v, want production's and true: %+v", score.Baseline, score.Passed, score.Rules)
	}
	model, err := f.Ledger.Current(t.Context(), release.Name)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{schemas.AliasCandidate: 2, schemas.AliasProduction: 2, schemas.AliasPrevious: 1}
	if !maps.Equal(model.Aliases, want) {
		t.Errorf("aliases are %v, want %v", model.Aliases, want)
	}
}

// TestStoppedAtOnce: whoever is told to stop while it begins stops without a
// complaint, and leaves no goroutine.
func TestStoppedAtOnce(t *testing.T) {
	t.Parallel()
	c := settings(t, base(t))
	for range 3 {
		f := join(t, c, true)
		f.stop()
	}
}

// verify checks a release with its public key, its lineage down to the rows, and
// that it says so when a file was altered.
func (f *flow) verify(release schemas.ReleaseRow, adapter schemas.AdapterRow) {
	f.t.Helper()
	key, err := lineage.OpenKey(f.KeyFile(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	s, _, err := publish.Verify(f.t.Context(), f.Store, release, key.Public())
	if err != nil {
		f.t.Fatal(err)
	}
	p := s.Predicate
	if p.Adapter != adapter.Files || p.Window != adapter.Window || p.Base != adapter.Base || p.Parent != adapter.Parent {
		f.t.Errorf("lineage %+v is not that of adapter %+v", p, adapter)
	}
	m, err := window.Load(f.t.Context(), f.Store, artifact.Digest(p.Window))
	if err != nil {
		f.t.Fatal(err)
	}
	if p.Rows["train"] != m.Part(window.Train).Rows || p.Rows["test"] != m.Part(window.Test).Rows {
		f.t.Errorf("lineage counts %v rows, the window has %d and %d", p.Rows, m.Part(window.Train).Rows, m.Part(window.Test).Rows)
	}
	stranger, err := lineage.NewKey(rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	if _, _, err := publish.Verify(f.t.Context(), f.Store, release, stranger.Public()); err == nil {
		f.t.Error("a release verifies with a stranger's key")
	}
	forged := release
	forged.Adapter = release.Base
	if _, _, err := publish.Verify(f.t.Context(), f.Store, forged, key.Public()); err == nil {
		f.t.Error("a release verifies that names another adapter than its statement")
	}
}

// rows are the conversations of a window: id → the file it came from.
func (f *flow) rows(digest string) map[string]string {
	f.t.Helper()
	m, err := window.Load(f.t.Context(), f.Store, artifact.Digest(digest))
	if err != nil {
		f.t.Fatal(err)
	}
	found := map[string]string{}
	for _, split := range []window.Split{window.Train, window.Validation, window.Test} {
		for row, err := range m.Rows(f.t.Context(), f.Store, split) {
			if err != nil {
				f.t.Fatal(err)
			}
			if _, twice := found[row.ID]; twice {
				f.t.Errorf("conversation %s stands in its window twice", row.ID)
			}
			found[row.ID] = row.Origin.File
		}
	}
	return found
}
