package talk

import (
	"context"
	"fmt"
	"io"
	"strings"

	"charm.land/bubbles/v2/key"
	"charm.land/bubbles/v2/textarea"
	tea "charm.land/bubbletea/v2"

	"github.com/glmflow/glmflow/ops/lang"
	"github.com/glmflow/glmflow/ops/term"
)

// An Editor reads messages from a person at a terminal: Enter sends, Alt-Enter
// or Ctrl-J begins a line, the arrows find earlier messages.
type Editor struct {
	In      io.Reader
	Out     *term.Screen
	Say     lang.Printer
	Environ []string // "NAME=value"

	history []string
}

// Read implements [Reader].
func (e *Editor) Read(ctx context.Context, label string) (string, error) {
	program := tea.NewProgram(newInput(label+"> ", e.history, e.Say.Sprintf("Ctrl-D leaves, /help helps")),
		tea.WithContext(ctx), tea.WithInput(e.In), tea.WithOutput(e.Out.W), tea.WithEnvironment(e.Environ), tea.WithoutSignalHandler())
	last, err := program.Run()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("terminal: %w", err)
	}
	in, ok := last.(*input)
	if !ok || !in.sent {
		return "", io.EOF
	}
	text := in.area.Value()
	if strings.TrimSpace(text) != "" {
		e.history = append(e.history, text)
	}
	// The input is gone from the screen; what was sent stays.
	prompt := e.Out.Style(term.Strong, label+"> ")
	fmt.Fprintln(e.Out.W, prompt+strings.ReplaceAll(term.Clean(text), "\n", "\n"+strings.Repeat(" ", term.Width(label)+2)))
	return text, nil
}

// An input is one message while it is typed.
type input struct {
	area    textarea.Model
	history []string
	at      int    // in history, its length for the new message
	draft   string // the new message while an earlier one is shown
	hint    string
	hinted  bool // Ctrl-C was pressed on an empty message
	sent    bool
	over    bool
}

const maxInputRows = 12

func newInput(prompt string, history []string, hint string) *input {
	a := textarea.New()
	a.ShowLineNumbers = false
	a.DynamicHeight, a.MinHeight, a.MaxHeight = true, 1, maxInputRows
	a.MaxContentHeight = 1 << 14
	a.CharLimit = maxMessage
	a.SetVirtualCursor(false) // the real one tells input methods where they are
	width := term.Width(prompt)
	a.SetPromptFunc(width, func(p textarea.PromptInfo) string {
		if p.LineNumber == 0 {
			return prompt
		}
		return strings.Repeat(" ", width)
	})
	a.SetStyles(textarea.Styles{})
	a.KeyMap.InsertNewline = key.NewBinding(key.WithKeys("alt+enter", "shift+enter", "ctrl+j"))
	a.SetWidth(term.DefaultWidth)
	return &input{area: a, history: history, at: len(history), hint: hint}
}

func (in *input) Init() tea.Cmd { return in.area.Focus() }

func (in *input) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		in.area.SetWidth(msg.Width)
		return in, nil
	case tea.KeyPressMsg:
		hinted := in.hinted
		in.hinted = false
		switch msg.String() {
		case "enter":
			return in.end(true)
		case "ctrl+d":
			if in.area.Length() == 0 {
				return in.end(false)
			}
		case "ctrl+c":
			if hinted {
				return in.end(false)
			}
			in.hinted = in.area.Length() == 0
			in.area.Reset()
			in.at = len(in.history)
			return in, nil
		case "up":
			if in.area.Line() == 0 && in.at > 0 {
				in.recall(in.at - 1)
				return in, nil
			}
		case "down":
			if in.area.Line() == in.area.LineCount()-1 && in.at < len(in.history) {
				in.recall(in.at + 1)
				return in, nil
			}
		}
	}
	var cmd tea.Cmd
	in.area, cmd = in.area.Update(msg)
	return in, cmd
}

func (in *input) end(sent bool) (tea.Model, tea.Cmd) {
	in.sent, in.over = sent, true
	return in, tea.Quit
}

// recall shows entry i of the history, or the new message behind it.
func (in *input) recall(i int) {
	if in.at == len(in.history) {
		in.draft = in.area.Value()
	}
	in.at = i
	text := in.draft
	if i < len(in.history) {
		text = in.history[i]
	}
	in.area.SetValue(text)
}

func (in *input) View() tea.View {
	if in.over {
		return tea.NewView("")
	}
	lines := strings.Split(in.area.View(), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	text := strings.Join(lines, "\n")
	if in.hinted {
		text += "\n" + in.hint
	}
	v := tea.NewView(text)
	v.Cursor = in.area.Cursor()
	return v
}
