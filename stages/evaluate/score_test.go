package evaluate

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/schemas"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// TestScoreGolden turns made-up measurements into a score.
func TestScoreGolden(t *testing.T) {
	config := DefaultConfig()
	config.Segment = segmentCharacters
	config.Samples = 1
	for _, text := range []string{"loss[zh] difference_below 0.5", "rouge-l interval_above 0", "perplexity candidate_below 5", "loss[mixed] interval_below 0"} {
		rule, err := ParseRule(text)
		must(t, err)
		config.Gate = append(config.Gate, rule)
	}
	e := &evaluation{Stage: &Stage{config: config}}
	for i := range 24 {
		lang := []string{"zh", "en", "en"}[i%3]
		targets := 5 + i%7
		base := float64(targets) * (1.5 + 0.1*float64(i%5))
		gain := 0.2 * float64(i%4) * float64(targets)
		if lang == "zh" {
			gain = -gain / 4
		}
		e.conversations = append(e.conversations, conversation{fmt.Sprint("c", i), lang, targets, [2]float64{base, base - gain}})
	}
	e.questions = []question{
		{id: "c0", lang: "zh", asked: "包裹在哪?", reference: "包裹在路上，明天到。", answers: [2]string{"不知道。", "包裹在路上，后天到。"}},
		{id: "c1", lang: "en", asked: "Where is it?", reference: "It will be there tomorrow.", answers: [2]string{"It is there.", "It will be there tomorrow."}},
		{id: "c2", lang: "en", asked: "Thanks", reference: "You are welcome!", answers: [2]string{"You are welcome!", ""}},
	}
	row, err := e.score()
	must(t, err)

	var got bytes.Buffer
	fmt.Fprintf(&got, "rows %d, targets %d, passed %v\n\n", row.Rows, row.Targets, row.Passed)
	for _, m := range row.Metrics {
		better := "lower"
		if m.HigherIsBetter {
			better = "higher"
		}
		fmt.Fprintf(&got, "%-4s %-10s %2d  %9.5f → %9.5f  [%+.5f, %+.5f]  %s is better\n", m.Slice, m.Name, m.N, m.Baseline, m.Candidate, m.Low, m.High, better)
	}
	for _, r := range row.Rules {
		fmt.Fprintf(&got, "\n%s: %v\n  %s\n", r.Rule, r.Passed, r.Detail)
	}
	fmt.Fprintf(&got, "\n%+v\n", row.Samples)

	const golden = "testdata/score.golden"
	if *rewrite {
		must(t, os.WriteFile(golden, got.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got); look at it, then run with -rewrite\n%s", golden, diff)
	}
}

func TestScoreOfNothing(t *testing.T) {
	e := &evaluation{Stage: &Stage{config: DefaultConfig()}}
	row, err := e.score()
	must(t, err)
	if row.Passed || len(row.Metrics) != 2 || row.Metrics[0] != (schemas.Metric{Name: metricLoss, Slice: sliceAll}) {
		t.Errorf("%+v", row)
	}
}
