package schemas

// A ScoreRow is one evaluation: the one row of score.
type ScoreRow struct {
	Candidate string       `parquet:"candidate" json:"candidate"`                // reference of the model judged: "adapter sha256:…", "assistant@production"
	Baseline  string       `parquet:"baseline" json:"baseline"`                  // reference of what it is compared with
	Adapter   *AdapterRow  `parquet:"adapter,optional" json:"adapter,omitempty"` // the candidate's row when a training caused this
	Data      string       `parquet:"data" json:"data"`                          // digest of the window manifest or dataset
	Rows      int64        `parquet:"rows" json:"rows"`                          // conversations scored
	Targets   int64        `parquet:"targets" json:"targets"`                    // supervised tokens scored
	Metrics   []Metric     `parquet:"metrics,list" json:"metrics"`
	Samples   []Sample     `parquet:"samples,list" json:"samples"`
	Rules     []RuleResult `parquet:"rules,list" json:"rules"`
	Passed    bool         `parquet:"passed" json:"passed"` // every rule held
}

// A Metric compares candidate and baseline on one measure and one slice.
type Metric struct {
	Name           string  `parquet:"name" json:"name"`   // "loss", "perplexity", "bleu-4", "rouge-1", "rouge-2", "rouge-l"
	Slice          string  `parquet:"slice" json:"slice"` // "all", "zh", "en"
	N              int64   `parquet:"n" json:"n"`         // items behind the numbers
	Baseline       float64 `parquet:"baseline" json:"baseline"`
	Candidate      float64 `parquet:"candidate" json:"candidate"`
	Low            float64 `parquet:"low" json:"low"` // 95 % paired bootstrap interval of candidate − baseline
	High           float64 `parquet:"high" json:"high"`
	HigherIsBetter bool    `parquet:"higher_is_better" json:"higher_is_better"`
}

// A Sample shows one held-out question with the answers side by side.
type Sample struct {
	ID        string `parquet:"id" json:"id"`
	Prompt    string `parquet:"prompt" json:"prompt"`
	Reference string `parquet:"reference" json:"reference"`
	Baseline  string `parquet:"baseline" json:"baseline"`
	Candidate string `parquet:"candidate" json:"candidate"`
}

// A RuleResult is one rule of the gate and what came of it.
type RuleResult struct {
	Rule   string `parquet:"rule" json:"rule"` // as declared: "loss: interval_below 0"
	Passed bool   `parquet:"passed" json:"passed"`
	Detail string `parquet:"detail" json:"detail"` // the numbers, in a sentence
}
