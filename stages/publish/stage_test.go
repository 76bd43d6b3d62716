package publish

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/pipeline/lineage"
	"github.com/glmflow/glmflow/pipeline/pipelinetest"
	"github.com/glmflow/glmflow/schemas"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files in testdata anew")

// models is a [Models] that always says the same.
type models struct{ model ledger.Model }

func (m models) Current(_ context.Context, name string) (ledger.Model, error) {
	m.model.Name = name
	return m.model, nil
}

// adapterFiles is what a training leaves.
var adapterFiles = fstest.MapFS{
	"adapter_config.json":       {Data: []byte(`{"peft_type":"LORA"}`)},
	"adapter_model.safetensors": {Data: []byte("weights")},
	"README.md":                 {Data: []byte("what the trainer wrote")},
}

const manifest = `{"version":1,"vocab":"v1","key":"k","parts":[` +
	`{"split":"train","members":"sha256:00","rows":80,"tokens":8000,"targets":4000},` +
	`{"split":"validation","members":"sha256:01","rows":10,"tokens":1000,"targets":500},` +
	`{"split":"test","members":"sha256:02","rows":10,"tokens":1000,"targets":500}],` +
	`"against":[]}` + "\n"

// scored is the evaluation of a candidate.
func scored(t testing.TB, passed bool) schemas.ScoreRow {
	t.Helper()
	files, err := artifact.OfTree(t.Context(), adapterFiles)
	if err != nil {
		t.Fatal(err)
	}
	val := func(x float64) *float64 { return &x }
	window := string(artifact.Of([]byte(manifest)))
	return schemas.ScoreRow{
		Candidate: "adapter " + string(files), Baseline: "base", Data: window, Rows: 10, Targets: 500, Passed: passed,
		Metrics: []schemas.Metric{
			{Name: "loss", Slice: "all", N: 10, Baseline: 3.5, Candidate: 2.25, Low: -1.4, High: -1.1},
			{Name: "bleu-4", Slice: "zh", N: 4, Baseline: 1.5, Candidate: 12.75, Low: 8, High: 14, HigherIsBetter: true},
		},
		Rules: []schemas.RuleResult{{Rule: "loss: interval_below 0", Passed: passed, Detail: "from −1.4 to −1.1 | all"}},
		Adapter: &schemas.AdapterRow{
			Name: "assistant", Method: "lora", Files: string(files), Base: "sha256:" + strings.Repeat("b", 64), Window: window,
			Config: `{"rank":8}`, Device: "cpu avx2", Seed: 7, Trainable: 4096, Steps: 20, BestStep: 20, Tokens: 16000, Targets: 8000, ValLoss: 2.25,
			Curve: []schemas.Point{{Step: 1, Loss: 3.5, LR: 1e-4}, {Step: 10, Loss: 2.75, ValLoss: val(2.5)}, {Step: 20, Loss: 2, ValLoss: val(2.25)}},
		},
	}
}

func input(scores ...schemas.ScoreRow) pipelinetest.Input {
	return pipelinetest.Input{Kind: schemas.Score, Rows: scores, Files: [][]byte{[]byte(manifest)}, Trees: []fs.FS{adapterFiles}}
}

// seeded yields the same bytes for ever: a key for golden files.
type seeded struct{}

func (seeded) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i)
	}
	return len(p), nil
}

func key(t testing.TB) *lineage.Key {
	t.Helper()
	k, err := lineage.NewKey(seeded{})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func stage(t testing.TB, promote string, m ledger.Model) *Stage {
	t.Helper()
	s, err := New(Config{Promote: promote}, Deps{Models: models{m}, Key: key(t)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAliases(t *testing.T) {
	second := ledger.Model{Versions: []schemas.ReleaseRow{{Version: 1}, {Version: 2}}, Aliases: map[string]int64{"candidate": 2, "production": 1}, Seq: 9}
	tests := []struct {
		name    string
		promote string
		model   ledger.Model
		passed  bool
		aliases map[string]int64
		note    string
	}{
		{"the first", PromoteAuto, ledger.Model{}, true, map[string]int64{"candidate": 1, "production": 1}, "assistant:1 is production now, the first"},
		{"the third", PromoteAuto, second, true, map[string]int64{"candidate": 3, "production": 3, "previous": 1}, "assistant:3 is production now; version 1 is previous"},
		{"by hand", PromoteManual, second, true, map[string]int64{"candidate": 3}, "waits for a person"},
		{"refused", PromoteAuto, second, false, map[string]int64{}, "is kept as rejected: loss: interval_below 0"},
	}
	for _, test := range tests {
		store := pipelinetest.Store(t)
		h, err := pipeline.Do(t.Context(), stage(t, test.promote, test.model), input(scored(t, test.passed)).Event(t, store), pipeline.Options{Store: store})
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var change schemas.AliasChange
		if err := h.Posted[0].Decode(&change); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.aliases, change.Aliases); diff != "" {
			t.Errorf("%s: aliases (-want +got):\n%s", test.name, diff)
		}
		if !strings.Contains(h.Done.Note, test.note) {
			t.Errorf("%s: note %q, want %q", test.name, h.Done.Note, test.note)
		}
		_, production := test.aliases["production"]
		r := change.Release
		if r.Version != test.model.Next() || r.Passed != test.passed || r.Promoted != production || test.passed != (len(r.Failed) == 0) {
			t.Errorf("%s: release %+v", test.name, *r)
		}
		if h.Posted[0].Subject != "assistant" || change.Actor != "tester" || change.Reason == "" {
			t.Errorf("%s: event %+v, change %+v", test.name, h.Posted[0], change)
		}
		result := pipelinetest.Result{Store: store, Outputs: map[schemas.Kind][]schemas.Dataset{}}
		var d schemas.Dataset
		if err := h.Data[0].Decode(&d); err != nil {
			t.Fatal(err)
		}
		result.Outputs[schemas.Release] = []schemas.Dataset{d}
		if diff := cmp.Diff([]schemas.ReleaseRow{*r}, pipelinetest.Rows[schemas.ReleaseRow](t, result, schemas.Release)); diff != "" {
			t.Errorf("%s: history and dataset differ (-history +dataset):\n%s", test.name, diff)
		}
	}
}

// published makes one release and returns it with its store.
func published(t *testing.T) (*artifact.Store, schemas.ReleaseRow) {
	t.Helper()
	r := pipelinetest.Run(t, stage(t, PromoteAuto, ledger.Model{}), input(scored(t, true)))
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	return r.Store, pipelinetest.Rows[schemas.ReleaseRow](t, r, schemas.Release)[0]
}

// TestReleaseGolden pins every byte of a release: files, card, statement.
func TestReleaseGolden(t *testing.T) {
	store, release := published(t)
	files, err := store.Tree(t.Context(), artifact.Digest(release.Files))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Path)
		body, err := store.Bytes(t.Context(), f.Digest, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if f.Path == CardFile || f.Path == CurveFile || f.Path == LineageFile {
			golden(t, f.Path, body)
		}
	}
	if diff := cmp.Diff([]string{"README.md", "adapter_config.json", "adapter_model.safetensors", "lineage.dsse.json", "loss.svg"}, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	row, err := json.MarshalIndent(release, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "release.json", append(row, '\n'))
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestVerify(t *testing.T) {
	store, release := published(t)
	statement, signer, err := Verify(t.Context(), store, release, key(t).Public())
	if err != nil || signer != key(t).Public() || statement.Predicate.Rows["train"] != 80 || string(statement.Predicate.Config) != `{"rank":8}` {
		t.Errorf("statement %+v by %s, %v", statement, signer, err)
	}
	put := func(files map[string]string) string {
		dir := fstest.MapFS{}
		tree, err := store.Tree(t.Context(), artifact.Digest(release.Files))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range tree {
			body, err := store.Bytes(t.Context(), f.Digest, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			dir[f.Path] = &fstest.MapFile{Data: body}
		}
		for name, text := range files {
			if text == "" {
				delete(dir, name)
			} else {
				dir[name] = &fstest.MapFile{Data: []byte(text)}
			}
		}
		digest, err := store.PutTree(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		return string(digest)
	}
	other, err := lineage.NewKey(strings.NewReader(strings.Repeat("another key", 9)))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		change  func(*schemas.ReleaseRow)
		trusted string
		says    string
	}{
		{"another key", func(*schemas.ReleaseRow) {}, other.Public(), "does not hold"},
		{"altered weights", func(r *schemas.ReleaseRow) {
			r.Files = put(map[string]string{"adapter_model.safetensors": "other weights"})
		}, "", "adapter_model.safetensors: altered"},
		{"a file taken away", func(r *schemas.ReleaseRow) { r.Files = put(map[string]string{"README.md": ""}) }, "", "README.md is missing"},
		{"a file slipped in", func(r *schemas.ReleaseRow) { r.Files = put(map[string]string{"modeling.py": "import os"}) }, "", "modeling.py is not part"},
		{"another statement in the tree", func(r *schemas.ReleaseRow) { r.Files = put(map[string]string{LineageFile: "{}"}) }, "", "not the release's own statement"},
		{"another version", func(r *schemas.ReleaseRow) { r.Version = 2 }, "", "names the version 1, the release 2"},
		{"another verdict", func(r *schemas.ReleaseRow) { r.Passed = false }, "", "verdict"},
		{"no statement", func(r *schemas.ReleaseRow) { r.Manifest = "" }, "", "digest"},
	}
	for _, test := range tests {
		r := release
		test.change(&r)
		trusted := test.trusted
		if trusted == "" {
			trusted = key(t).Public()
		}
		if _, _, err := Verify(t.Context(), store, r, trusted); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v; want an error that says %q", test.name, err, test.says)
		}
	}
}

func TestVerifyDir(t *testing.T) {
	store, release := published(t)
	dir, err := store.Checkout(t.Context(), artifact.Digest(release.Files))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := VerifyDir(t.Context(), os.DirFS(dir), key(t).Public()); err != nil {
		t.Error(err)
	}
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	weights := filepath.Join(copied, "adapter_model.safetensors")
	if err := errors.Join(os.Chmod(weights, 0o644), os.WriteFile(weights, []byte("Weights"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := VerifyDir(t.Context(), os.DirFS(copied), key(t).Public()); err == nil || !strings.Contains(err.Error(), "altered") {
		t.Errorf("an altered copy: %v", err)
	}
	if _, _, err := VerifyDir(t.Context(), fstest.MapFS{}, key(t).Public()); err == nil {
		t.Error("an empty directory is a release")
	}
}

// TestDamageInTheStore alters a file behind the store's back.
func TestDamageInTheStore(t *testing.T) {
	dir := t.TempDir()
	store, err := artifact.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	r := pipelinetest.RunIn(t, store, stage(t, PromoteAuto, ledger.Model{}), input(scored(t, true)))
	release := pipelinetest.Rows[schemas.ReleaseRow](t, r, schemas.Release)[0]
	weights := artifact.Of([]byte("weights")).Hex()
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Name() == weights {
			return errors.Join(os.Chmod(path, 0o644), os.WriteFile(path, []byte("w3ights"), 0o644))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Verify(t.Context(), store, release, key(t).Public()); err == nil || !strings.Contains(err.Error(), "adapter_model.safetensors") {
		t.Errorf("a damaged store: %v", err)
	}
}

func TestRequestedEvaluationPublishesNothing(t *testing.T) {
	score := scored(t, true)
	score.Adapter = nil
	store := pipelinetest.Store(t)
	h, err := pipeline.Do(t.Context(), stage(t, PromoteAuto, ledger.Model{}), input(score).Event(t, store), pipeline.Options{Store: store})
	if err != nil || len(h.Data)+len(h.Posted) > 0 || !strings.Contains(h.Done.Note, "on request") {
		t.Errorf("handed over %v, note %q, %v", h.Done.Outputs, h.Done.Note, err)
	}
}

func TestParks(t *testing.T) {
	bad := func(change func(*schemas.AdapterRow)) schemas.ScoreRow {
		s := scored(t, true)
		change(s.Adapter)
		return s
	}
	nan := scored(t, true)
	nan.Metrics[0].Low = math.NaN()
	for name, in := range map[string]pipelinetest.Input{
		"two scores": input(scored(t, true), scored(t, false)),
		"no window":  input(bad(func(a *schemas.AdapterRow) { a.Window = "" })),
		"no files":   input(bad(func(a *schemas.AdapterRow) { a.Files = "here" })),
		"no number":  input(nan),
	} {
		if r := pipelinetest.Run(t, stage(t, PromoteAuto, ledger.Model{}), in); !pipeline.IsParked(r.Err) {
			t.Errorf("%s: %v, want it parked", name, r.Err)
		}
	}
	missing := input(scored(t, true))
	missing.Files = nil
	if r := pipelinetest.Run(t, stage(t, PromoteAuto, ledger.Model{}), missing); r.Err == nil || pipeline.IsParked(r.Err) {
		t.Errorf("a window that is not there yet: %v, want it retried", r.Err)
	}
}

// TestCurveIsDrawable reads drawings of curves that a training may leave.
func TestCurveIsDrawable(t *testing.T) {
	nan, two := math.NaN(), 2.0
	for name, points := range map[string][]schemas.Point{
		"none":     nil,
		"one":      {{Step: 5, Loss: 1}},
		"flat":     {{Step: 1, Loss: 2, ValLoss: &two}, {Step: 2, Loss: 2}},
		"diverged": {{Step: 1, Loss: 2, ValLoss: &nan}, {Step: 2, Loss: math.Inf(1)}},
	} {
		drawing := curve(points, 1)
		decoder := xml.NewDecoder(strings.NewReader(string(drawing)))
		for {
			_, err := decoder.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, drawing)
			}
		}
		if strings.Contains(string(drawing), "NaN") || strings.Contains(string(drawing), "Inf") {
			t.Errorf("%s: the drawing holds no numbers:\n%s", name, drawing)
		}
	}
}

func TestConformance(t *testing.T) {
	poison := input(scored(t, true), scored(t, true))
	refused := scored(t, false)
	refused.Adapter.Name = "helper" // another model: a history may grow once under this fixture
	pipelinetest.Exercise(t, func() pipeline.Stage { return stage(t, PromoteAuto, ledger.Model{}) }, pipelinetest.Fixture{
		Inputs: []pipelinetest.Input{input(scored(t, true)), input(refused)},
		Poison: &poison,
	})
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Config{Promote: "perhaps"}, Deps{Models: models{}, Key: key(t)}); err == nil || !strings.Contains(err.Error(), `"perhaps"`) {
		t.Errorf("error %v", err)
	}
	for name, deps := range map[string]Deps{"no models": {Key: key(t)}, "no key": {Models: models{}}} {
		if _, err := New(DefaultConfig(), deps); err == nil {
			t.Errorf("%s: a stage was made", name)
		}
	}
}
