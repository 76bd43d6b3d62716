package cli

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
)

// TestDumpedLogitsGiveThePrintedLoss works the loss out again from --dump.
func TestDumpedLogitsGiveThePrintedLoss(t *testing.T) {
	dir := t.TempDir()
	rows := []tokenRow{
		{IDs: []int32{3, 9, 27, 81, 243}, Labels: []int32{-100, -100, 27, -100, 243}},
		{IDs: []int32{5, 5, 5}, Labels: []int32{5, 5, 5}}, // the first label has nothing before it
	}
	var text strings.Builder
	for _, r := range rows {
		if err := json.NewEncoder(&text).Encode(map[string]any{"ids": r.IDs, "labels": r.Labels}); err != nil {
			t.Fatal(err)
		}
	}
	data, model, dump := filepath.Join(dir, "rows.jsonl"), filepath.Join(dir, "m"), filepath.Join(dir, "logits.safetensors")
	if err := os.WriteFile(data, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, notices bytes.Buffer
	env := Env{In: strings.NewReader(""), Out: &out, Err: &notices, Now: time.Now}
	for _, args := range [][]string{
		{"model", "init", "--out", model},
		{"score", "--model", model, "--data", data, "--dump", dump, "--device", "reference"},
	} {
		out.Reset()
		if code := Main(t.Context(), args, env); code != ExitDone {
			t.Fatalf("%v: %s", args, &notices)
		}
	}
	file, err := safetensors.Open(dump)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	printed := json.NewDecoder(&out)
	for i, r := range rows {
		var line struct {
			ID              int
			Tokens, Targets int
			NLL             float64
		}
		if err := printed.Decode(&line); err != nil {
			t.Fatal(err)
		}
		name := "logits/" + string(rune('0'+i))
		tensor, ok := file.Tensor(name)
		if !ok || len(tensor.Shape) != 2 || tensor.Shape[0] != len(r.IDs) {
			t.Fatalf("tensor %s has shape %v, want [%d, vocabulary]", name, tensor.Shape, len(r.IDs))
		}
		logits := make([]float32, tensor.Len())
		if err := file.Read(name, logits); err != nil {
			t.Fatal(err)
		}
		nll, targets := 0.0, 0
		for at := 1; at < len(r.IDs); at++ {
			if r.Labels[at] >= 0 {
				targets++
				nll += negativeLogLikelihood(logits[(at-1)*tensor.Shape[1]:at*tensor.Shape[1]], r.Labels[at])
			}
		}
		if line.ID != i || line.Tokens != len(r.IDs) || line.Targets != targets || math.Abs(line.NLL-nll) > 1e-5*nll {
			t.Errorf("printed %+v; the logits give %d targets and %.7f nats", line, targets, nll)
		}
	}
}

func negativeLogLikelihood(logits []float32, target int32) float64 {
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l))
	}
	return math.Log(sum) - float64(logits[target])
}

// TestOneBadRowCostsTheOthersNothing: a conversation that the model cannot take
// gets a line that says why, in its place; the rest is as without it.
func TestOneBadRowCostsTheOthersNothing(t *testing.T) {
	dir := t.TempDir()
	model := filepath.Join(dir, "m")
	run := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		var out, notices bytes.Buffer
		if code := Main(t.Context(), args, Env{In: strings.NewReader(""), Out: &out, Err: &notices, Now: time.Now}); code != want {
			t.Fatalf("%v: exit code %d, want %d: %s", args, code, want, &notices)
		}
		return out.String(), notices.String()
	}
	vocabulary := filepath.Join(dir, "tokenizer.model")
	trained, err := tokenizer.Train(slices.Values([]string{"some words to learn from, and some more words"}), 300)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vocabulary, trained, 0o644); err != nil {
		t.Fatal(err)
	}
	run(ExitDone, "model", "init", "--out", model, "--shape", "tiny,seq_length=8", "--tokenizer", vocabulary)
	file := func(name string, rows ...string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.Join(rows, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const first, last = `{"id":"first","ids":[5,6,7,8]}`, `{"id":"last","ids":[9,10,11,12]}`
	for _, c := range []struct {
		command     []string
		row, reason string
	}{
		{[]string{"generate", "--greedy", "--max-new", "3"}, `{"id":"bad","ids":[3,4,5,6,7,8,9,10,11,12]}`, "the prompt has 10 tokens, the model was made for 8"},
		{[]string{"generate", "--greedy", "--max-new", "3"}, `{"id":"bad","ids":[3,999999]}`, "id 999999"},
		{[]string{"score"}, `{"id":"bad","ids":[3,999999,4]}`, "token 1: id 999999"},
		{[]string{"score"}, `{"id":"bad","ids":[3,-1,4]}`, "token 1: id -1"},
	} {
		args := append(c.command, "--model", model, "--device", "reference", "--data")
		good, _ := run(ExitDone, append(args, file("good.jsonl", first, last))...)
		got, notices := run(ExitFailed, append(args, file("bad.jsonl", first, c.row, last))...)
		lines := strings.SplitAfter(got, "\n")
		if len(lines) != 4 || lines[0]+lines[2] != good {
			t.Errorf("%v with a bad row:\n%s\nwithout it:\n%s", c.command, got, good)
			continue
		}
		var bad failedRow
		if err := json.Unmarshal([]byte(lines[1]), &bad); err != nil || string(bad.ID) != `"bad"` || !strings.Contains(bad.Error, c.reason) {
			t.Errorf("%v: line %s, want one with id and %q", c.command, lines[1], c.reason)
		}
		if !strings.Contains(notices, "1 of 3 conversations have an error") {
			t.Errorf("%v: said %q", c.command, notices)
		}
	}
}

// TestGradientsOfAPrefixAreWithoutDropout holds the largest gradient of a prefix
// to what the loss itself does.
func TestGradientsOfAPrefixAreWithoutDropout(t *testing.T) {
	shape, _ := chatglm.Shape("tiny")
	dev, err := deviceFlags{backend: "reference", precision: "fp32", workers: 2}.open()
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	m, err := chatglm.New(shape, dev, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.AddPrefix(chatglm.PrefixConfig{Tokens: 4, Dropout: 0.5}, 1); err != nil {
		t.Fatal(err)
	}
	var prefix *chatglm.Param
	for _, p := range m.Params() {
		if strings.Contains(p.Name, "prefix_encoder") {
			prefix = p
		}
	}
	rows := []row{{ids: []int32{3, 9, 27, 81, 243}, labels: []int32{-100, 9, 27, 81, 243}}}
	out, err := gradients(t.Context(), m, rows, 2048)
	if err != nil {
		t.Fatal(err)
	}
	grad, weights := make([]float32, prefix.Len()), make([]float32, prefix.Len())
	for _, o := range out {
		if o.Name == prefix.Name {
			if err := o.Read(grad); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := m.Values(prefix, weights); err != nil {
		t.Fatal(err)
	}
	at := 0
	for i, g := range grad {
		if math.Abs(float64(g)) > math.Abs(float64(grad[at])) {
			at = i
		}
	}
	meanLoss := func(moved float32) float64 {
		changed := slices.Clone(weights)
		changed[at] += moved
		if err := m.SetValues(prefix, changed); err != nil {
			t.Fatal(err)
		}
		nll, targets, err := m.Loss(packRows(rows))
		if err != nil {
			t.Fatal(err)
		}
		return nll[0] / float64(targets[0])
	}
	const step = 0.05
	want := (meanLoss(step) - meanLoss(-step)) / (2 * step)
	if got := float64(grad[at]); math.Abs(got-want) > 0.02*math.Abs(want) {
		t.Errorf("gradient %g, the loss says %g", got, want)
	}
}

// TestLossThatIsNoNumber: score prints a sentence that names the weight.
func TestLossThatIsNoNumber(t *testing.T) {
	dir := t.TempDir()
	shape, _ := chatglm.Shape("tiny")
	dev, err := deviceFlags{backend: "reference", precision: "fp32", workers: 2}.open()
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	m, err := chatglm.New(shape, dev, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	broken := m.Params()[2]
	values := make([]float32, broken.Len())
	values[7] = float32(math.Inf(1))
	if err := m.SetValues(broken, values); err != nil {
		t.Fatal(err)
	}
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "rows.jsonl")
	if err := os.WriteFile(data, []byte("{\"ids\":[3,4,5]}\n{\"ids\":[6,7]}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	env := Env{In: strings.NewReader(""), Out: &stdout, Err: &stderr, Now: time.Now}
	if code := Main(t.Context(), []string{"score", "--model", dir, "--data", data, "--device", "reference"}, env); code != ExitFailed {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
	for line := range strings.Lines(stdout.String()) {
		var l failedRow
		if err := json.Unmarshal([]byte(line), &l); err != nil || !strings.Contains(l.Error, "the loss is not finite: 1 of the") || !strings.Contains(l.Error, broken.Name) {
			t.Errorf("line %s, want one that names %s", line, broken.Name)
		}
	}
	if strings.Count(stdout.String(), "\n") != 2 || strings.Contains(stderr.String(), "json") {
		t.Errorf("printed %q and said %q", &stdout, &stderr)
	}
}
