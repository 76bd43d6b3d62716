package term

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// Progress shows how far long work has come: one line that renews itself on a
// terminal, a plain line every few seconds elsewhere.
type Progress struct {
	screen *Screen
	now    func() time.Time
	every  time.Duration // between plain lines
	start  time.Time
	last   time.Time
	live   bool // whether an unfinished line stands on the terminal

	label string    // of the work that is shown
	from  int64     // where it stood when it was first shown: resumed work begins in the middle
	since time.Time // when that was
}

// NewProgress starts a clock; now is time.Now outside tests.
func NewProgress(s *Screen, now func() time.Time) *Progress {
	return &Progress{screen: s, now: now, every: 5 * time.Second, start: now()}
}

// Show says where the work stands. total 0 means that nobody knows.
func (p *Progress) Show(label string, done, total int64, detail string) {
	at := p.now()
	if label != p.label {
		p.label, p.from, p.since = label, done, at
	}
	wait := p.every
	if p.screen.Terminal {
		wait = 80 * time.Millisecond
	}
	if at.Sub(p.last) < wait && !(total > 0 && done >= total && p.screen.Terminal) {
		return
	}
	p.last = at
	if !p.screen.Terminal {
		fmt.Fprintln(p.screen.W, strings.TrimRight(fmt.Sprintf("%s %s %s", label, fraction(done, total), detail), " "))
		return
	}
	width := p.screen.Width - 1
	head := pad(label, 10) + " "
	tail := " " + fraction(done, total)
	if left := p.left(at, done, total); left != "" {
		tail += " " + left
	}
	if detail != "" {
		tail += "  " + detail
	}
	room := max(8, min(30, width-ansi.StringWidth(head)-ansi.StringWidth(tail)))
	text := ansi.Truncate(head+bar(room, done, total)+tail, width, "…")
	fmt.Fprint(p.screen.W, "\r"+text+"\x1b[K")
	p.live = true
}

// Done ends the line with a summary that stays.
func (p *Progress) Done(label, summary string) {
	p.Clear()
	took := p.now().Sub(p.start)
	mark := p.screen.Style(Good, "✓")
	fmt.Fprintf(p.screen.W, "%s %s %s %s\n", mark, pad(label, 10), summary, p.screen.Style(Faint, "("+Duration(took)+")"))
	p.start, p.label = p.now(), ""
}

// Note says what holds the work up, until it goes on.
func (p *Progress) Note(label, text string) {
	if !p.screen.Terminal {
		fmt.Fprintln(p.screen.W, label, text)
		return
	}
	fmt.Fprint(p.screen.W, "\r"+ansi.Truncate(pad(label, 10)+" "+text, p.screen.Width-1, "…")+"\x1b[K")
	p.live = true
}

// Clear takes the unfinished line away, before something else is written.
func (p *Progress) Clear() {
	if p.live {
		fmt.Fprint(p.screen.W, "\r\x1b[K")
		p.live = false
	}
}

func (p *Progress) left(at time.Time, done, total int64) string {
	spent, did := at.Sub(p.since), done-p.from
	if did <= 0 || done >= total || spent < 2*time.Second {
		return ""
	}
	return "~" + Duration(time.Duration(float64(spent)*float64(total-done)/float64(did))) + " left"
}

func fraction(done, total int64) string {
	switch {
	case total > 0:
	case done > 0:
		return fmt.Sprint(done)
	default: // it begins, and nobody knows how much there is
		return ""
	}
	return fmt.Sprintf("%d/%d", done, total)
}

func bar(width int, done, total int64) string {
	if total <= 0 {
		return strings.Repeat("░", width)
	}
	full := int(min(done, total) * int64(width) / total)
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

// Duration writes d as people say it: "45s", "3m20s", "2h05m".
func Duration(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}
