package evaluate

import (
	"errors"
	"fmt"
	"slices"
)

// Config is what evaluate can be told.
type Config struct {
	// Generate is how many conversations are answered by both models, for BLEU,
	// ROUGE and the samples; 0 answers none. Default 32.
	Generate int `yaml:"generate"`
	// Samples is how many of those the score shows side by side, at most 20.
	// Default 5.
	Samples int `yaml:"samples"`
	// MaxNew is the most tokens of a generated answer. Default 128.
	MaxNew int `yaml:"max_new"`
	// Segment cuts texts for BLEU and ROUGE: "characters" (Chinese by character,
	// other scripts by word) or "words" (Chinese by word, as jieba cuts; numbers
	// then compare with those published for ChatGLM3). Default "characters".
	Segment string `yaml:"segment"`
	// BatchTokens is the most tokens scored at once; memory grows with it.
	// Default 2048.
	BatchTokens int `yaml:"batch_tokens"`
	// Resamples of the paired bootstrap behind every interval. Default 2000.
	Resamples int `yaml:"resamples"`
	// Seed picks the conversations to answer and the resamples. Default 1.
	Seed uint64 `yaml:"seed"`
	// Gate lists the rules that a candidate has to hold, all of them (see
	// [Rule]); without any, every candidate passes. Default
	// "loss interval_below 0": the held-out loss is lower, and not by chance.
	Gate []Rule `yaml:"gate"`
}

// Values of [Config.Segment].
const (
	segmentCharacters = "characters"
	segmentWords      = "words"
)

const maxSamples = 20

// DefaultConfig is what holds where nothing else is said.
func DefaultConfig() Config {
	return Config{
		Generate: 32, Samples: 5, MaxNew: 128, Segment: segmentCharacters,
		BatchTokens: 2048, Resamples: 2000, Seed: 1,
		Gate: []Rule{{Metric: metricLoss, Slice: sliceAll, Require: intervalBelow}},
	}
}

// Validate reports every value that cannot be.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Generate < 0 {
		bad("generate is %d, want 0 or more", c.Generate)
	}
	if c.Samples < 0 || c.Samples > maxSamples {
		bad("samples is %d, want 0 to %d: a score has to fit into a message", c.Samples, maxSamples)
	}
	if c.MaxNew < 1 {
		bad("max_new is %d, want 1 or more", c.MaxNew)
	}
	if c.Segment != segmentCharacters && c.Segment != segmentWords {
		bad("segment is %q, want %q or %q", c.Segment, segmentCharacters, segmentWords)
	}
	if c.BatchTokens < 1 {
		bad("batch_tokens is %d, want 1 or more", c.BatchTokens)
	}
	if c.Resamples < 100 {
		bad("resamples is %d, want 100 or more: fewer give no 95 %% interval", c.Resamples)
	}
	for _, r := range c.Gate {
		if err := r.validate(); err != nil {
			bad("gate: %w", err)
		} else if c.Generate == 0 && slices.Contains(answerMetrics, r.Metric) {
			bad("gate: rule %q needs generated answers, but generate is 0", r)
		}
	}
	return errors.Join(errs...)
}
