package evaluate

import (
	"fmt"

	"github.com/glmflow/glmflow/schemas"
)

// minInterval is the least number of conversations whose interval means what it
// says: of five, all may be better by mere chance once in 32 times, which is more
// often than the 2.5 % that a 95 % interval leaves on that side.
const minInterval = 6

// judge holds every rule against the metrics. The gate opens only if all hold; a
// rule about something that was not measured does not.
func judge(rules []Rule, metrics []schemas.Metric) (results []schemas.RuleResult, passed bool) {
	passed = true
	for _, r := range rules {
		result := r.judge(metrics)
		results = append(results, result)
		passed = passed && result.Passed
	}
	return results, passed
}

func (r Rule) judge(metrics []schemas.Metric) schemas.RuleResult {
	result := schemas.RuleResult{Rule: r.String()}
	for _, m := range metrics {
		if m.Name != r.Metric || m.Slice != r.Slice || m.N == 0 {
			continue
		}
		if r.byInterval() && m.N < minInterval {
			result.Detail = fmt.Sprintf("%s was measured on %d conversations (%s): a 95 %% interval needs %d, so hold out more (window.test, window.min_held_out)",
				m.Name, m.N, m.Slice, minInterval)
			return result
		}
		result.Passed = r.holds(m)
		verdict := "which holds"
		if !result.Passed {
			verdict = "which fails"
		}
		result.Detail = fmt.Sprintf("%s on %d conversations (%s): %.4f → %.4f, difference %+.4f, 95 %% interval [%+.4f, %+.4f]; required %s %g, %s",
			m.Name, m.N, m.Slice, m.Baseline, m.Candidate, m.Candidate-m.Baseline, m.Low, m.High, r.Require, r.Value, verdict)
		return result
	}
	result.Detail = fmt.Sprintf("nothing to judge %s by: no conversation of slice %q was measured", r.Metric, r.Slice)
	return result
}

func (r Rule) byInterval() bool { return r.Require == intervalBelow || r.Require == intervalAbove }

func (r Rule) holds(m schemas.Metric) bool {
	switch r.Require {
	case intervalBelow:
		return m.High < r.Value
	case intervalAbove:
		return m.Low > r.Value
	case differenceBelow:
		return m.Candidate-m.Baseline < r.Value
	case differenceAbove:
		return m.Candidate-m.Baseline > r.Value
	case candidateBelow:
		return m.Candidate < r.Value
	case candidateAbove:
		return m.Candidate > r.Value
	}
	return false
}
