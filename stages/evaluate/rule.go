package evaluate

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Names of the metrics, as they stand in a score.
const (
	metricLoss       = "loss"       // mean nats a target
	metricPerplexity = "perplexity" // e to the loss
	metricBLEU       = "bleu-4"
	metricRouge1     = "rouge-1"
	metricRouge2     = "rouge-2"
	metricRougeL     = "rouge-l"
)

// answerMetrics need generated answers, and more of them is better.
var answerMetrics = []string{metricBLEU, metricRouge1, metricRouge2, metricRougeL}

var metricNames = append([]string{metricLoss, metricPerplexity}, answerMetrics...)

// sliceAll names all conversations together; other slices are languages.
const sliceAll = "all"

// What a rule may require.
const (
	intervalBelow   = "interval_below"   // the whole 95 % interval of candidate − baseline is below the value
	intervalAbove   = "interval_above"   // … above the value
	differenceBelow = "difference_below" // candidate − baseline is below the value
	differenceAbove = "difference_above" // … above the value
	candidateBelow  = "candidate_below"  // the candidate's own number is below the value
	candidateAbove  = "candidate_above"  // … above the value
)

var requirements = []string{intervalBelow, intervalAbove, differenceBelow, differenceAbove, candidateBelow, candidateAbove}

// A Rule is one condition of the gate. Its text is
//
//	METRIC[SLICE] REQUIREMENT NUMBER
//
// such as "loss interval_below 0", "loss[zh] difference_below 0.05" (the loss on
// Chinese conversations may rise, but by less than 0.05) or
// "bleu-4 candidate_above 0.02". Metrics are loss, perplexity, bleu-4, rouge-1,
// rouge-2 and rouge-l; the slice is a language (zh, en, mixed, other), and all
// conversations without one; requirements are interval_below, interval_above,
// difference_below, difference_above, candidate_below and candidate_above. Those
// about the interval fail on fewer than six conversations.
type Rule struct {
	Metric  string
	Slice   string // "all" or a language
	Require string
	Value   float64
}

// ParseRule reads the text of a rule.
func ParseRule(text string) (Rule, error) {
	words := strings.Fields(text)
	if len(words) != 3 {
		return Rule{}, fmt.Errorf("rule %q: want METRIC REQUIREMENT NUMBER, such as %q", text, "loss interval_below 0")
	}
	value, err := strconv.ParseFloat(words[2], 64)
	if err != nil {
		return Rule{}, fmt.Errorf("rule %q: %q is no number", text, words[2])
	}
	r := Rule{Metric: words[0], Slice: sliceAll, Require: words[1], Value: value}
	if name, rest, ok := strings.Cut(words[0], "["); ok {
		slice, closed := strings.CutSuffix(rest, "]")
		if !closed || slice == "" {
			return Rule{}, fmt.Errorf("rule %q: want a slice in brackets, such as %q", text, "loss[zh]")
		}
		r.Metric, r.Slice = name, slice
	}
	return r, r.validate()
}

func (r Rule) validate() error {
	if !slices.Contains(metricNames, r.Metric) {
		return fmt.Errorf("rule %q: metric is %q, want one of %s", r, r.Metric, strings.Join(metricNames, ", "))
	}
	if !slices.Contains(requirements, r.Require) {
		return fmt.Errorf("rule %q: requirement is %q, want one of %s", r, r.Require, strings.Join(requirements, ", "))
	}
	if math.IsNaN(r.Value) || math.IsInf(r.Value, 0) {
		return fmt.Errorf("rule %q: the number is not finite", r)
	}
	if !slices.Contains([]string{sliceAll, "zh", "en", "mixed", "other"}, r.Slice) {
		return fmt.Errorf("rule %q: slice is %q, want all, zh, en, mixed or other", r, r.Slice)
	}
	return nil
}

// String is the rule's text; [ParseRule] reads it back.
func (r Rule) String() string {
	slice := ""
	if r.Slice != sliceAll {
		slice = "[" + r.Slice + "]"
	}
	return r.Metric + slice + " " + r.Require + " " + strconv.FormatFloat(r.Value, 'g', -1, 64)
}

// MarshalText and UnmarshalText let configuration files hold a rule as text.
func (r Rule) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText is [ParseRule].
func (r *Rule) UnmarshalText(text []byte) error {
	parsed, err := ParseRule(string(text))
	if err == nil {
		*r = parsed
	}
	return err
}
