package cli

import (
	"fmt"
	"strings"

	"github.com/glmflow/glmflow/ops/term"
	"github.com/glmflow/glmflow/schemas"
)

// writeScore draws an evaluation: what was compared, the numbers, some answers
// and the gate.
func writeScore(s *term.Screen, score schemas.ScoreRow) {
	say(s.W, "%s against %s on %s, %s", shortenDigests(score.Candidate), shortenDigests(score.Baseline), count(int(score.Rows), "conversation"), count(int(score.Targets), "target"))
	table := [][]string{{"measure", "slice", "baseline", "candidate", "change", "95 % interval", "n"}}
	for _, m := range score.Metrics {
		tone := term.Plain
		if m.Candidate != m.Baseline {
			tone = term.Bad
			if m.Candidate > m.Baseline == m.HigherIsBetter {
				tone = term.Good
			}
		}
		interval := "-"
		if m.Low != 0 || m.High != 0 {
			interval = "[" + term.Figure(m.Low, true) + ", " + term.Figure(m.High, true) + "]"
		}
		table = append(table, []string{m.Name, m.Slice, term.Figure(m.Baseline, false), term.Figure(m.Candidate, false),
			s.Style(tone, term.Figure(m.Candidate-m.Baseline, true)), interval, digits(m.N)})
	}
	fmt.Fprint(s.W, s.Table(table, 2, 3, 4, 6))
	for _, x := range score.Samples {
		fmt.Fprintln(s.W)
		for _, part := range [][2]string{{"question", x.Prompt}, {"baseline", x.Baseline}, {"candidate", x.Candidate}, {"reference", x.Reference}} {
			text := strings.Join(strings.Fields(part[1]), " ")
			if text == "" {
				text = "—"
			}
			label := fmt.Sprintf("%-11s", part[0])
			fmt.Fprintln(s.W, s.Style(term.Faint, label)+strings.TrimLeft(term.Wrap(text, s.Width, strings.Repeat(" ", len(label))), " "))
		}
	}
	if len(score.Rules) > 0 {
		fmt.Fprintln(s.W)
	}
	for _, r := range score.Rules {
		mark, tone := "✗", term.Bad
		if r.Passed {
			mark, tone = "✓", term.Good
		}
		say(s.W, "%s %s", s.Style(tone, mark), strings.TrimLeft(term.Wrap(r.Rule+": "+r.Detail, s.Width, "  "), " "))
	}
}

// writeCurve draws a training.
func writeCurve(s *term.Screen, a schemas.AdapterRow) {
	say(s.W, "%s on %s: %s trainable parameters, %s, best at step %d", a.Method, a.Device, digits(a.Trainable), count(int(a.Steps), "step"), a.BestStep)
	var train, val term.Series
	val.Mark = '●'
	for _, p := range a.Curve {
		train.X, train.Y = append(train.X, float64(p.Step)), append(train.Y, p.Loss)
		if p.ValLoss != nil {
			val.X, val.Y = append(val.X, float64(p.Step)), append(val.Y, *p.ValLoss)
		}
	}
	fmt.Fprint(s.W, term.Plot(min(s.Width, 100), 8, train, val))
	say(s.W, "%s", s.Style(term.Faint, "line: training loss, ●: validation loss (nats a target), over steps"))
}

// writeRelease says what became of a candidate.
func writeRelease(s *term.Screen, r schemas.ReleaseRow) {
	name := fmt.Sprintf("%s:%d", r.Name, r.Version)
	switch {
	case r.Promoted:
		say(s.W, "%s published as %s and promoted to production", s.Style(term.Good, "✓"), name)
	case r.Passed:
		say(s.W, "%s published as %s; it waits as candidate: glmflow models promote %s --reason …", s.Style(term.Good, "✓"), name, name)
	default:
		say(s.W, "%s kept as %s, not promoted: the gate said no (%s)", s.Style(term.Bad, "✗"), name, strings.Join(r.Failed, "; "))
	}
}
