package cli

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
