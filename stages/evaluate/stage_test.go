package evaluate

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/pipelinetest"
	"github.com/glmflow/glmflow/schemas"
)

// one runs a job that makes one score.
func one(t *testing.T, stage *Stage, in pipelinetest.Input) (schemas.ScoreRow, pipelinetest.Result) {
	t.Helper()
	r := pipelinetest.Run(t, stage, in)
	must(t, r.Err)
	rows := pipelinetest.Rows[schemas.ScoreRow](t, r, schemas.Score)
	if len(rows) != 1 {
		t.Fatalf("%d scores, want one", len(rows))
	}
	return rows[0], r
}

func metric(t *testing.T, row schemas.ScoreRow, name, slice string) schemas.Metric {
	t.Helper()
	for _, m := range row.Metrics {
		if m.Name == name && m.Slice == slice {
			return m
		}
	}
	t.Fatalf("no %s of %s in %+v", name, slice, row.Metrics)
	return schemas.Metric{}
}

func TestAfterTraining(t *testing.T) {
	w := newWorld(t)
	in := w.input(w.trained, heldOutRows())
	row, _ := one(t, w.stage(nil), in)

	if row.Baseline != "base" || !strings.HasPrefix(row.Candidate, "adapter sha256:") || row.Data != string(w.window) {
		t.Errorf("compared %q with %q on %q", row.Candidate, row.Baseline, row.Data)
	}
	if row.Adapter == nil || row.Adapter.Name != "assistant" || row.Adapter.Window != string(w.window) {
		t.Errorf("the adapter's row is %+v", row.Adapter)
	}
	if row.Rows != 6 {
		t.Errorf("%d conversations, want the 6 that have targets", row.Rows)
	}
	if n := w.opened.Load(); n != 1 {
		t.Errorf("opened %d models, want the base alone, with the adapter put on top", n)
	}
	var names []string
	for _, m := range row.Metrics {
		names = append(names, m.Slice+" "+m.Name)
	}
	want := "all loss,all perplexity,all bleu-4,all rouge-1,all rouge-2,all rouge-l," +
		"en loss,en perplexity,en bleu-4,en rouge-1,en rouge-2,en rouge-l," +
		"zh loss,zh perplexity,zh bleu-4,zh rouge-1,zh rouge-2,zh rouge-l"
	if got := strings.Join(names, ","); got != want {
		t.Errorf("metrics %s\nwant %s", got, want)
	}

	loss := metric(t, row, metricLoss, sliceAll)
	base, trained := aloneLoss(t, w, ""), aloneLoss(t, w, w.trained)
	if math.Abs(loss.Baseline-base) > 1e-5 || math.Abs(loss.Candidate-trained) > 1e-5 {
		t.Errorf("loss %v → %v; one conversation at a time gives %v → %v", loss.Baseline, loss.Candidate, base, trained)
	}
	if !(loss.Low <= loss.Candidate-loss.Baseline && loss.Candidate-loss.Baseline <= loss.High && loss.High < 0) {
		t.Errorf("interval %+v", loss)
	}
	if p := metric(t, row, metricPerplexity, sliceAll); p.Candidate != math.Exp(loss.Candidate) || p.HigherIsBetter {
		t.Errorf("perplexity %+v", p)
	}
	if b := metric(t, row, metricBLEU, sliceAll); b.N != 4 || !b.HigherIsBetter {
		t.Errorf("BLEU over %d answers, want 4", b.N)
	}
	if len(row.Samples) != 2 || row.Samples[0].Reference != "在路上" && row.Samples[0].Reference != "on its way" {
		t.Errorf("samples %+v", row.Samples)
	}
	if !row.Passed || len(row.Rules) != 1 || row.Rules[0].Rule != "loss interval_below 0" {
		t.Errorf("gate: %v %+v", row.Passed, row.Rules)
	}
}

// aloneLoss is the mean loss with every conversation scored by itself.
func aloneLoss(t *testing.T, w *world, adapter string) float64 {
	t.Helper()
	m, err := chatglm.Open(w.base, openDevice(t))
	must(t, err)
	defer m.Close()
	if adapter != "" {
		must(t, m.LoadAdapter(adapter))
	}
	var sum float64
	n := 0
	for _, row := range heldOutRows() {
		if targetsOf(row) == 0 {
			continue
		}
		nll, targets, err := m.Loss(chatglm.Pack([]chatglm.Sequence{{IDs: row.IDs, Labels: row.Labels}}))
		must(t, err)
		sum += nll[0]
		n += targets[0]
	}
	return sum / float64(n)
}

func TestGateNamesWhatFailed(t *testing.T) {
	w := newWorld(t)
	stage := w.stage(func(c *Config) {
		c.Gate = append(c.Gate, Rule{metricLoss, sliceAll, candidateBelow, 100}, Rule{metricLoss, "mixed", intervalBelow, 0})
	})
	row, _ := one(t, stage, w.input(w.untrained, heldOutRows()))
	if row.Passed || row.Rules[0].Passed || !row.Rules[1].Passed || row.Rules[2].Passed {
		t.Errorf("an untrained adapter: %v %+v", row.Passed, row.Rules)
	}
	if loss := metric(t, row, metricLoss, sliceAll); loss.Baseline != loss.Candidate || loss.Low != 0 || loss.High != 0 {
		t.Errorf("an untrained adapter changes the loss: %+v", loss)
	}

	row, _ = one(t, w.stage(nil), w.input(w.trained, nil))
	if row.Passed || row.Rows != 0 || !strings.Contains(row.Rules[0].Detail, "nothing to judge loss by") {
		t.Errorf("without held-out conversations: %v %+v", row.Passed, row.Rules)
	}
}

func TestBaselineIsProduction(t *testing.T) {
	w := newWorld(t)
	w.production = &Ref{Name: "assistant:1", Dir: w.base, Adapter: w.trained}
	row, _ := one(t, w.stage(nil), w.input(w.untrained, heldOutRows()))
	loss := metric(t, row, metricLoss, sliceAll)
	if row.Baseline != "assistant:1" || loss.Candidate <= loss.Baseline || row.Passed {
		t.Errorf("against production: %s, %+v", row.Baseline, loss)
	}
	if want := aloneLoss(t, w, ""); math.Abs(loss.Candidate-want) > 1e-5 {
		t.Errorf("the candidate's loss is %v, want %v: production's adapter stayed on", loss.Candidate, want)
	}
}

func TestBatchesDoNotMatter(t *testing.T) {
	w := newWorld(t)
	in := w.input(w.trained, heldOutRows())
	wide, _ := one(t, w.stage(func(c *Config) { c.BatchTokens = 4096 }), in)
	narrow, _ := one(t, w.stage(func(c *Config) { c.BatchTokens = 1 }), in)
	for i, m := range wide.Metrics {
		if n := narrow.Metrics[i]; math.Abs(m.Candidate-n.Candidate) > 1e-4*math.Abs(m.Candidate) {
			t.Errorf("%s of %s is %v in one batch and %v alone", m.Name, m.Slice, m.Candidate, n.Candidate)
		}
	}
	if diff := cmp.Diff(wide.Samples, narrow.Samples); diff != "" {
		t.Errorf("samples\n%s", diff)
	}
}

func TestRequest(t *testing.T) {
	w := newWorld(t)
	trained := w.input(w.trained, heldOutRows())
	upload := []byte("user: hi\nassistant: hello\n")
	w.uploads[artifact.Of(upload)] = heldOutRows()[:3]

	for name, c := range map[string]struct {
		data string
		rows int64
	}{
		"held-out": {heldOut, 6},
		"window":   {string(w.window), 6},
		"tokens":   {string(artifact.Of(trained.Files[0])), 6},
		"upload":   {string(artifact.Of(upload)), 2},
	} {
		in := pipelinetest.Input{
			Kind:  schemas.EvalRequest,
			Data:  schemas.EvalOrder{Model: "assistant:1", Data: c.data, Reply: "_INBOX.abc", Limit: 1},
			Files: append(trained.Files, upload),
		}
		row, r := one(t, w.stage(nil), in)
		if row.Rows != c.rows || row.Candidate != "assistant:1" || row.Baseline != "base" || row.Adapter != nil {
			t.Errorf("%s: %+v", name, row)
		}
		if len(row.Samples) != 1 {
			t.Errorf("%s: %d samples with a limit of 1", name, len(row.Samples))
		}
		if len(r.Posted) != 1 || r.Posted[0].Type != schemas.Score {
			t.Fatalf("%s: posted %+v, want the score as reply", name, r.Posted)
		}
		var reply schemas.ScoreRow
		must(t, json.Unmarshal(r.Posted[0].Data, &reply))
		if diff := cmp.Diff(row.Metrics, reply.Metrics); diff != "" {
			t.Errorf("%s: the reply differs\n%s", name, diff)
		}
	}

	same := pipelinetest.Input{
		Kind: schemas.EvalRequest, Data: schemas.EvalOrder{Model: "assistant:1", Baseline: "assistant:1", Data: heldOut}, Files: trained.Files,
	}
	row, r := one(t, w.stage(nil), same)
	if m := metric(t, row, metricLoss, sliceAll); m.Baseline != m.Candidate || row.Passed || len(r.Posted) != 0 {
		t.Errorf("a model against itself: %+v, posted %v", m, r.Posted)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	trained := w.input(w.trained, heldOutRows())
	foreign := heldOutRows()[1]
	foreign.IDs = append([]int32{64790}, foreign.IDs[1:]...)
	scores := parquetOf(t, schemas.Score, []schemas.ScoreRow{})
	strange := parquet(t, []schemas.TokenRow{foreign})
	absent := string(artifact.Of([]byte("nothing here")))

	for part, order := range map[string]schemas.EvalOrder{
		`needs "model" and "data"`:        {Data: heldOut},
		`no model "assistant:9"`:          {Model: "assistant:9", Data: heldOut},
		`baseline "nobody": no model`:     {Model: "assistant:1", Baseline: "nobody", Data: heldOut},
		`data "yesterday": want "held-`:   {Model: "assistant:1", Data: "yesterday"},
		"data " + absent:                  {Model: "assistant:1", Data: absent},
		"has no layout":                   {Model: "assistant:1", Data: string(artifact.Of([]byte("?")))},
		"encoded with another tokenizer":  {Model: "assistant:1", Data: string(artifact.Of(strange))},
		"a reference of 5000 bytes":       {Model: strings.Repeat("x", 5000), Data: heldOut},
		`kind "score" holds no conv`:      {Model: "assistant:1", Data: string(artifact.Of(scores))},
		"limit is -1":                     {Model: "assistant:1", Data: heldOut, Limit: -1},
		`"glmflow.data.tokens" is no sub`: {Model: "assistant:1", Data: heldOut, Reply: "glmflow.data.tokens"},
		`"$JS.API.X" is no subject`:       {Model: "assistant:1", Data: heldOut, Reply: "$JS.API.X"},
		`"a.>" is no subject`:             {Model: "assistant:1", Data: heldOut, Reply: "a.>"},
	} {
		in := pipelinetest.Input{Kind: schemas.EvalRequest, Data: order, Files: append(trained.Files, strange, scores, []byte("?"))}
		r := pipelinetest.Run(t, w.stage(nil), in)
		if !pipeline.IsParked(r.Err) || !strings.Contains(r.Err.Error(), part) {
			t.Errorf("%+v: %v, want it parked with %q", order, r.Err, part)
		}
	}

	told := pipelinetest.Input{Kind: schemas.EvalRequest, Data: schemas.EvalOrder{Model: "nobody", Data: heldOut, Reply: "answers.1"}}
	r := pipelinetest.Run(t, w.stage(nil), told)
	must(t, r.Err)
	if len(r.Posted) != 1 || r.Posted[0].Type != Failed || !bytes.Contains(r.Posted[0].Data, []byte(`no model`)) || len(r.Outputs) != 0 {
		t.Errorf("posted %+v, want the reason as reply and no score", r.Posted)
	}
}

func TestClip(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "",
		strings.Repeat("好", 1500):       strings.Repeat("好", 1500),
		strings.Repeat("好", 1500) + "a": strings.Repeat("好", 1500) + "…",
	} {
		if got := clip(in); got != want {
			t.Errorf("clip of %d bytes gives %d bytes, want %d", len(in), len(got), len(want))
		}
	}
}

func TestNew(t *testing.T) {
	if _, err := New(Config{}, Deps{}); err == nil || !strings.Contains(err.Error(), "evaluate: max_new is 0") {
		t.Errorf("an empty configuration: %v", err)
	}
	if _, err := New(DefaultConfig(), Deps{}); err == nil || !strings.Contains(err.Error(), "all needed") {
		t.Errorf("nothing to work with: %v", err)
	}
}

func TestExercise(t *testing.T) {
	w := newWorld(t)
	trained := w.input(w.trained, heldOutRows())
	request := pipelinetest.Input{
		Kind: schemas.EvalRequest, Data: schemas.EvalOrder{Model: "assistant:1", Data: heldOut, Reply: "answers.1"}, Files: trained.Files,
	}
	poison := trained
	poison.Rows = []schemas.AdapterRow{}
	stage := func() pipeline.Stage { return w.stage(nil) }
	t.Run("adapter", func(t *testing.T) {
		pipelinetest.Exercise(t, stage, pipelinetest.Fixture{Inputs: []pipelinetest.Input{trained, request}, Poison: &poison})
	})
	t.Run("request", func(t *testing.T) {
		pipelinetest.Exercise(t, stage, pipelinetest.Fixture{Inputs: []pipelinetest.Input{request}})
	})
}
