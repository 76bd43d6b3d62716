package term

import (
	"io"
	"os"

	"charm.land/lipgloss/v2"
	xterm "github.com/charmbracelet/x/term"
)

// DefaultWidth is drawn for where no terminal tells another.
const DefaultWidth = 80

// A Screen is where output goes and what it can show.
type Screen struct {
	W        io.Writer
	Width    int  // columns
	Terminal bool // whether W is an interactive terminal
	Colour   bool
}

// NewScreen looks at w: a terminal has its own width and colours, anything else
// 80 columns and none. The environment variables NO_COLOR and COLUMNS are
// respected.
func NewScreen(w io.Writer) *Screen {
	s := &Screen{W: w, Width: DefaultWidth}
	if f, ok := w.(*os.File); ok && xterm.IsTerminal(f.Fd()) {
		s.Terminal = true
		s.Colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		if width, _, err := xterm.GetSize(f.Fd()); err == nil && width > 0 {
			s.Width = width
		}
	} else if n := columns(os.Getenv("COLUMNS")); n > 0 {
		s.Width = n
	}
	s.Width = max(s.Width, 40)
	return s
}

// Interactive reports whether a person types what r reads.
func Interactive(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && xterm.IsTerminal(f.Fd())
}

func columns(text string) int {
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' || n > 10_000 {
			return 0
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// A Tone is a meaning that colour carries; the text says it as well.
type Tone int

// The tones, in colours that also colour-blind people tell apart.
const (
	Plain  Tone = iota
	Strong      // headings
	Faint       // what can be skipped
	Good        // blue-green
	Bad         // orange
	Accent      // numbers to look at
)

// Style writes text in a tone.
func (s *Screen) Style(t Tone, text string) string {
	if !s.Colour || t == Plain {
		return text
	}
	style := lipgloss.NewStyle()
	switch t {
	case Strong:
		style = style.Bold(true)
	case Faint:
		style = style.Faint(true)
	case Good:
		style = style.Foreground(lipgloss.Color("#009E73"))
	case Bad:
		style = style.Foreground(lipgloss.Color("#D55E00"))
	case Accent:
		style = style.Foreground(lipgloss.Color("#0072B2")).Bold(true)
	}
	return style.Render(text)
}
