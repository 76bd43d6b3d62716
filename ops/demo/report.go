package demo

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/glmflow/glmflow/ops/lang"
	"github.com/glmflow/glmflow/ops/term"
	"github.com/glmflow/glmflow/schemas"
)

// A Report is what one demo did, for people.
type Report struct {
	Logs     string              // where the logs lie
	Dir      string              // where the flow keeps its state
	Files    int                 // log files read
	Raw      int64               // conversations read
	Rejected int64               // lines and files that could not be read
	Rules    []schemas.RuleCount // what each cleaning rule did
	PII      []Count             // personal data masked, by kind
	Planted  *Findings
	Window   WindowCounts
	Adapter  schemas.AdapterRow
	Score    schemas.ScoreRow
	Release  *schemas.ReleaseRow // nil when nothing was published
	Device   string
	Took     time.Duration
	Base     string // directory of the base model
	Program  string // what to call glmflow by, for the commands that come next
}

// A Count is a number of something.
type Count struct {
	Name string
	N    int64
}

// WindowCounts are the conversations of a window.
type WindowCounts struct {
	Digest                  string
	In, Duplicates          int64
	Train, Validation, Test int64
	Tokens, Targets         int64
}

// Write draws the report.
func (r Report) Write(s *term.Screen, p lang.Printer) {
	w := writer{s, p}
	w.heading("From conversations to a model")
	w.cleaning(r)
	if r.Planted != nil {
		w.planted(*r.Planted)
	}
	w.window(r.Window)
	w.curve(r)
	w.metrics(r.Score)
	w.samples(r.Score)
	w.verdict(r)
	w.next(r)
}

// A writer is a screen and the reader's language.
type writer struct {
	s *term.Screen
	p lang.Printer
}

func (w writer) heading(phrase string) {
	text := w.p.Sprintf(phrase)
	fmt.Fprintf(w.s.W, "\n%s %s\n", w.s.Style(term.Strong, text), w.s.Style(term.Faint, strings.Repeat("─", max(2, w.s.Width-term.Width(text)-2))))
}

func (w writer) line(phrase string, args ...any) {
	fmt.Fprintln(w.s.W, term.Wrap(w.p.Sprintf(phrase, args...), w.s.Width, "  "))
}

func (w writer) table(rows [][]string, right ...int) {
	inner := *w.s
	inner.Width -= 2
	for _, l := range strings.Split(strings.TrimRight(inner.Table(rows, right...), "\n"), "\n") {
		fmt.Fprintln(w.s.W, "  "+l)
	}
}

func (w writer) cleaning(r Report) {
	w.line("Files: %d. Conversations: %d. Lines that could not be read, kept with their reasons: %d.", r.Files, r.Raw, r.Rejected)
	rows := [][]string{{w.p.Sprintf("rule"), w.p.Sprintf("in"), w.p.Sprintf("dropped"), w.p.Sprintf("changed"), w.p.Sprintf("out")}}
	for _, c := range r.Rules {
		rows = append(rows, []string{c.Rule, w.number(c.In), w.some(c.In - c.Out), w.some(c.Edited), w.number(c.Out)})
	}
	w.table(rows, 1, 2, 3, 4)
	if len(r.PII) > 0 {
		var parts []string
		for _, c := range r.PII {
			parts = append(parts, w.p.Sprintf("%s %d", c.Name, c.N))
		}
		w.line("Personal data masked: %s.", strings.Join(parts, ", "))
	}
}

func (w writer) number(n int64) string { return w.p.Sprintf("%d", n) }

func (w writer) some(n int64) string {
	if n == 0 {
		return "·"
	}
	return w.number(n)
}

func (w writer) planted(f Findings) {
	w.heading("Planted and found")
	rows := [][]string{{w.p.Sprintf("planted"), w.p.Sprintf("times"), w.p.Sprintf("found"), w.p.Sprintf("what should happen")}}
	for _, x := range f.Plants {
		rows = append(rows, []string{string(x.Plant), w.number(x.Planted), w.number(x.Found), w.p.Sprintf(x.Should)})
	}
	w.table(rows, 1, 2)
	w.line("Honest conversations dropped that should have been kept: %d of %d.", f.HonestLost, f.Honest)
}

func (w writer) window(c WindowCounts) {
	w.heading("The window")
	w.line("%d conversations, %d near-duplicates dropped; %d to train on, %d to validate, %d held out. %d tokens, %d of them targets.",
		c.In, c.Duplicates, c.Train, c.Validation, c.Test, c.Tokens, c.Targets)
}

func (w writer) curve(r Report) {
	w.heading("Training")
	a := r.Adapter
	w.line("%s on %s: %d trainable parameters, %d steps, best at step %d.", a.Method, r.Device, a.Trainable, a.Steps, a.BestStep)
	var train, val term.Series
	val.Mark = '●'
	for _, pt := range a.Curve {
		train.X, train.Y = append(train.X, float64(pt.Step)), append(train.Y, pt.Loss)
		if pt.ValLoss != nil {
			val.X, val.Y = append(val.X, float64(pt.Step)), append(val.Y, *pt.ValLoss)
		}
	}
	for _, l := range strings.Split(strings.TrimRight(term.Plot(min(w.s.Width-4, 96), 9, train, val), "\n"), "\n") {
		fmt.Fprintln(w.s.W, "  "+l)
	}
	w.line("line: training loss, ●: validation loss (nats per target), over steps")
}

func (w writer) metrics(score schemas.ScoreRow) {
	w.heading("Before and after")
	rows := [][]string{{w.p.Sprintf("measure"), w.p.Sprintf("slice"), w.p.Sprintf("before"), w.p.Sprintf("after"), w.p.Sprintf("change"), w.p.Sprintf("95 %% interval"), "n"}}
	for _, m := range score.Metrics {
		change := term.Figure(m.Candidate-m.Baseline, true)
		tone := term.Plain
		if better := m.Candidate > m.Baseline == m.HigherIsBetter; m.Candidate != m.Baseline {
			tone = term.Bad
			if better {
				tone = term.Good
			}
		}
		interval := ""
		if m.Low != 0 || m.High != 0 {
			interval = "[" + term.Figure(m.Low, true) + ", " + term.Figure(m.High, true) + "]"
		}
		rows = append(rows, []string{m.Name, m.Slice, term.Figure(m.Baseline, false), term.Figure(m.Candidate, false), w.s.Style(tone, change), interval, w.number(m.N)})
	}
	w.table(rows, 2, 3, 4, 6)
}

// The report shows this many answers.
const shownSamples = 5

func (w writer) samples(score schemas.ScoreRow) {
	if len(score.Samples) == 0 {
		return
	}
	w.heading("Answers")
	for i, x := range score.Samples[:min(shownSamples, len(score.Samples))] {
		if i > 0 {
			fmt.Fprintln(w.s.W)
		}
		for _, part := range []struct{ name, text string }{
			{"question", x.Prompt}, {"before", x.Baseline}, {"after", x.Candidate}, {"the desk", x.Reference},
		} {
			name := w.p.Sprintf(part.name)
			label := "  " + name + strings.Repeat(" ", max(1, 10-term.Width(name)))
			text := strings.Join(strings.Fields(part.text), " ")
			if text == "" {
				text = "—"
			}
			wrapped := term.Wrap(text, w.s.Width, strings.Repeat(" ", term.Width(label)))
			fmt.Fprintln(w.s.W, w.s.Style(term.Faint, label)+strings.TrimLeft(wrapped, " "))
		}
	}
}

func (w writer) verdict(r Report) {
	w.heading("The gate")
	for _, rule := range r.Score.Rules {
		mark, tone := "✗", term.Bad
		if rule.Passed {
			mark, tone = "✓", term.Good
		}
		text := term.Wrap(rule.Rule+": "+rule.Detail, w.s.Width, "    ")
		fmt.Fprintf(w.s.W, "  %s %s\n", w.s.Style(tone, mark), strings.TrimLeft(text, " "))
	}
	switch {
	case r.Release == nil:
		w.line("Nothing was published.")
	case r.Release.Promoted:
		w.line("Published as %s and promoted to production.", fmt.Sprintf("%s:%d", r.Release.Name, r.Release.Version))
	case r.Release.Passed:
		w.line("Published as %s; it waits as candidate for a person to promote it.", fmt.Sprintf("%s:%d", r.Release.Name, r.Release.Version))
	default:
		w.line("Kept as %s, not promoted: the gate said no.", fmt.Sprintf("%s:%d", r.Release.Name, r.Release.Version))
	}
}

func (w writer) next(r Report) {
	w.heading("Where it lies, and what to try next")
	// Paths are to be copied, so they are never cut.
	for _, place := range [][2]string{
		{w.p.Sprintf("logs"), r.Logs},
		{w.p.Sprintf("base model"), r.Base},
		{w.p.Sprintf("artifacts (Parquet, adapters)"), filepath.Join(r.Dir, "artifacts")},
	} {
		fmt.Fprintf(w.s.W, "  %s\n      %s\n", place[0], place[1])
	}
	fmt.Fprintln(w.s.W)
	for _, c := range r.commands() {
		fmt.Fprintf(w.s.W, "  %s\n      %s\n", w.s.Style(term.Accent, c[0]), w.s.Style(term.Faint, w.p.Sprintf(c[1])))
	}
	fmt.Fprintln(w.s.W)
	w.line("Done in %s.", term.Duration(r.Took))
}

// commands are what to try next, each with what it does. They can be copied into
// a shell as they are.
func (r Report) commands() [][2]string {
	glmflow, dir := quoted(r.Program)+" ", " --dir "+quoted(r.Dir)
	var list [][2]string
	if r.Release != nil {
		version := fmt.Sprintf("%s:%d", r.Release.Name, r.Release.Version)
		list = [][2]string{
			{glmflow + "models show " + r.Release.Name + dir, "versions and their aliases"},
			{glmflow + "models verify " + version + dir, "check signature and lineage"},
			{glmflow + "models export " + version + " --out my-adapter" + dir, "the version as a directory, for PEFT and for glmflow generate"},
		}
	}
	return append(list,
		[2]string{glmflow + "runs ls" + dir, "what ran, and what was parked"},
		[2]string{glmflow + "up" + dir + " --base " + quoted(r.Base), "serve the flow with its console"})
}

// quoted makes text one word of a shell.
func quoted(text string) string {
	plain := func(c rune) bool {
		return unicode.IsLetter(c) || unicode.IsDigit(c) || strings.ContainsRune("/._-+:@%", c)
	}
	if text != "" && strings.IndexFunc(text, func(c rune) bool { return !plain(c) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
