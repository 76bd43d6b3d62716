package evaluate

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/glmflow/glmflow/schemas"
)

func TestParseRule(t *testing.T) {
	for text, want := range map[string]Rule{
		"loss interval_below 0":                  {metricLoss, sliceAll, intervalBelow, 0},
		"  perplexity   candidate_below  12.5  ": {metricPerplexity, sliceAll, candidateBelow, 12.5},
		"rouge-l[zh] difference_above -1":        {metricRougeL, "zh", differenceAbove, -1},
		"loss[all] interval_below -1e-3":         {metricLoss, sliceAll, intervalBelow, -0.001},
	} {
		if got, err := ParseRule(text); err != nil || got != want {
			t.Errorf("ParseRule(%q) = %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, mend := range map[string]string{
		"":                            "want METRIC REQUIREMENT NUMBER",
		"loss below":                  "want METRIC REQUIREMENT NUMBER",
		"loss: interval_below 0":      `metric is "loss:", want one of loss, perplexity, bleu-4`,
		"los interval_below 0":        `metric is "los", want one of loss`,
		"loss below 0":                `requirement is "below", want one of interval_below`,
		"loss interval_below zero":    `"zero" is no number`,
		"loss interval_below NaN":     "not finite",
		"loss[zh interval_below 0":    "want a slice in brackets",
		"loss[] interval_below 0":     "want a slice in brackets",
		"loss[fr] interval_below 0":   "want all, zh, en, mixed or other",
		"loss interval_below 0 extra": "want METRIC REQUIREMENT NUMBER",
	} {
		if _, err := ParseRule(text); err == nil || !strings.Contains(err.Error(), mend) {
			t.Errorf("ParseRule(%q): %v, want an error with %q", text, err, mend)
		}
	}
}

func TestRuleTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Rule{
			Metric:  rapid.SampledFrom(metricNames).Draw(t, "metric"),
			Slice:   rapid.SampledFrom([]string{sliceAll, "zh", "en", "mixed", "other"}).Draw(t, "slice"),
			Require: rapid.SampledFrom(requirements).Draw(t, "requirement"),
			Value:   rapid.Float64().Draw(t, "value"),
		}
		if got, err := ParseRule(want.String()); err != nil || got != want {
			t.Fatalf("%q comes back as %+v, %v", want, got, err)
		}
	})
}

func TestConfigYAML(t *testing.T) {
	config := DefaultConfig()
	text := "generate: 4\ngate:\n- loss interval_below 0\n- rouge-l[en] difference_above -2\n"
	if err := yaml.UnmarshalWithOptions([]byte(text), &config, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.Generate = 4
	want.Gate = append(want.Gate, Rule{metricRougeL, "en", differenceAbove, -2})
	if diff := cmp.Diff(want, config); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if err := config.Validate(); err != nil {
		t.Error(err)
	}
	if err := yaml.Unmarshal([]byte("gate: [loss below 0]"), &config); err == nil || !strings.Contains(err.Error(), "want one of interval_below") {
		t.Errorf("a wrong rule: %v", err)
	}
	if out, err := yaml.Marshal(want); err != nil || !strings.Contains(string(out), "- rouge-l[en] difference_above -2") {
		t.Errorf("written as %s, %v", out, err)
	}
}

func TestValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	for part, change := range map[string]func(*Config){
		"generate is -1":          func(c *Config) { c.Generate = -1 },
		"samples is 21":           func(c *Config) { c.Samples = 21 },
		"max_new is 0":            func(c *Config) { c.MaxNew = 0 },
		`segment is "letters"`:    func(c *Config) { c.Segment = "letters" },
		"batch_tokens is 0":       func(c *Config) { c.BatchTokens = 0 },
		"resamples is 10":         func(c *Config) { c.Resamples = 10 },
		"requirement is \"\"":     func(c *Config) { c.Gate = []Rule{{Metric: metricLoss, Slice: sliceAll}} },
		"needs generated answers": func(c *Config) { c.Generate = 0; c.Gate = []Rule{{metricBLEU, sliceAll, candidateAbove, 0}} },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v, want an error with %q", err, part)
		}
	}
}

func TestGate(t *testing.T) {
	measured := []schemas.Metric{
		{Name: metricLoss, Slice: sliceAll, N: 40, Baseline: 2, Candidate: 1.5, Low: -0.7, High: -0.3},
		{Name: metricLoss, Slice: "zh", N: 10, Baseline: 2, Candidate: 1.9, Low: -0.3, High: 0.1},
		{Name: metricLoss, Slice: "other", N: 5, Baseline: 2, Candidate: 1, Low: -1.1, High: -0.9},
		{Name: metricBLEU, Slice: sliceAll, N: 8, Baseline: 0.1, Candidate: 0.15, Low: -0.01, High: 0.1, HigherIsBetter: true},
	}
	for text, want := range map[string]bool{
		"loss interval_below 0":         true,
		"loss interval_below -0.3":      false, // the bound itself is not below
		"loss[zh] interval_below 0":     false,
		"loss[zh] difference_below 0":   true,
		"loss difference_below -0.5":    false,
		"loss candidate_below 1.6":      true,
		"loss candidate_above 1.6":      false,
		"bleu-4 interval_above 0":       false,
		"bleu-4 interval_above -0.02":   true,
		"bleu-4 difference_above 0.01":  true,
		"loss[other] interval_below 0":  false, // too few
		"loss[other] candidate_below 2": true,
		"loss[en] interval_below 0":     false, // not measured
		"rouge-1 candidate_above -1":    false, // not measured
	} {
		rule, err := ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		results, passed := judge([]Rule{rule}, measured)
		if passed != want || results[0].Passed != want || results[0].Rule != text {
			t.Errorf("%s: %+v, want %v", text, results, want)
		}
	}
	results, passed := judge([]Rule{{metricLoss, sliceAll, intervalBelow, 0}, {metricLoss, "zh", intervalBelow, 0}}, measured)
	if passed || !results[0].Passed || results[1].Passed {
		t.Errorf("one failing rule of two: %+v", results)
	}
	const detail = "loss on 10 conversations (zh): 2.0000 → 1.9000, difference -0.1000, 95 % interval [-0.3000, +0.1000]; required interval_below 0, which fails"
	if results[1].Detail != detail {
		t.Errorf("detail\n%s\nwant\n%s", results[1].Detail, detail)
	}
	if _, passed := judge(nil, measured); !passed {
		t.Error("a gate without rules is closed")
	}
}
