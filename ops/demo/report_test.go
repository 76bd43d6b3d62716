package demo

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/ops/demo/corpus"
	"github.com/glmflow/glmflow/ops/lang"
	"github.com/glmflow/glmflow/ops/term"
	"github.com/glmflow/glmflow/schemas"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/report.* anew")

// sample is a report with something of everything in it.
func sample() Report {
	r := Report{
		Program: "bin/glmflow", Dir: "/home/ann lee/glmflow/demo", Logs: "/home/ann lee/glmflow/demo/logs", Base: "/home/ann lee/glmflow/cache/demo-base-1",
		Files: 7, Raw: 1200, Rejected: 3, Device: "cpu avx512bf16, 2 workers", Took: 217 * time.Second,
		Rules: []schemas.RuleCount{{Rule: "unicode", In: 1200, Out: 1200, Edited: 41}, {Rule: "exact-duplicate", In: 1200, Out: 1164}},
		PII:   []Count{{"email", 31}, {"mobile", 1057}},
		Planted: &Findings{Honest: 1100, HonestLost: 2, Plants: []PlantCount{
			{Plant: corpus.NearCopy, Planted: 20, Found: 19, Should: should(corpus.NearCopy)}, {Plant: corpus.Personal, Planted: 88, Found: 88, Should: should(corpus.Personal)},
		}},
		Window:  WindowCounts{In: 1164, Duplicates: 19, Train: 1020, Validation: 60, Test: 65, Tokens: 123456, Targets: 65432},
		Adapter: schemas.AdapterRow{Name: "assistant", Method: "lora", Trainable: 221184, Steps: 40, BestStep: 40},
		Score: schemas.ScoreRow{
			Passed:  true,
			Metrics: []schemas.Metric{{Name: "loss", Slice: "all", N: 65, Baseline: 4.25, Candidate: 1.5, Low: -2.9, High: -2.6}, {Name: "bleu-4", Slice: "zh", N: 12, Baseline: 1, Candidate: 32.5, HigherIsBetter: true}},
			Samples: []schemas.Sample{{Prompt: "我的包裹到哪里了？", Baseline: "今天天气不错。", Candidate: "您的包裹已经到达 <phone-1> 附近的驿站，预计明天送达，届时快递员会提前与您联系，请保持电话畅通，谢谢。", Reference: "明天送达。"}},
			Rules:   []schemas.RuleResult{{Rule: "loss interval_below 0", Passed: true, Detail: "loss on 65 conversations (all): 4.2500 → 1.5000, difference -2.7500, 95 % interval [-2.9000, -2.6000]; required interval_below 0, which holds"}},
		},
		Release: &schemas.ReleaseRow{Name: "assistant", Version: 1, Passed: true, Promoted: true},
	}
	for step := range int64(40) {
		p := schemas.Point{Step: step + 1, Loss: 4.5 / (1 + float64(step)/10)}
		if step%20 == 19 {
			val := p.Loss + 0.1
			p.ValLoss = &val
		}
		r.Adapter.Curve = append(r.Adapter.Curve, p)
	}
	return r
}

// TestReport holds the report to golden files: both languages, a narrow terminal
// and a wide one. No line is wider than the terminal but what is to be copied.
func TestReport(t *testing.T) {
	for _, language := range []string{"en", "zh"} {
		for _, width := range []int{80, 200} {
			t.Run(fmt.Sprintf("%s.%d", language, width), func(t *testing.T) {
				p, err := lang.New(language)
				if err != nil {
					t.Fatal(err)
				}
				var out bytes.Buffer
				sample().Write(&term.Screen{W: &out, Width: width}, p)
				for line := range strings.Lines(out.String()) {
					if w := term.Width(strings.TrimRight(line, "\n")); w > width && !strings.Contains(line, "/home/ann lee") {
						t.Errorf("%d columns: %s", w, line)
					}
				}
				path := filepath.Join("testdata", fmt.Sprintf("report.%s.%d.txt", language, width))
				if *rewrite {
					if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), out.String()); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			})
		}
	}
}

// TestCommands: without a release there is nothing to show, verify or export.
func TestCommands(t *testing.T) {
	r := sample()
	r.Release, r.Dir, r.Base, r.Program = nil, "/tmp/it's", "/b", "glmflow"
	want := [][2]string{
		{`glmflow runs ls --dir '/tmp/it'\''s'`, "what ran, and what was parked"},
		{`glmflow up --dir '/tmp/it'\''s' --base /b`, "serve the flow with its console"},
	}
	if diff := cmp.Diff(want, r.commands()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
