package talk

import (
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"github.com/glmflow/glmflow/ops/term"
)

// keys types: "<enter>" and the like are keys, anything else is text.
func keys(in *input, pressed ...string) {
	named := map[string]tea.KeyPressMsg{
		"<enter>": {Code: tea.KeyEnter}, "<alt-enter>": {Code: tea.KeyEnter, Mod: tea.ModAlt}, "<ctrl-j>": {Code: 'j', Mod: tea.ModCtrl},
		"<up>": {Code: tea.KeyUp}, "<down>": {Code: tea.KeyDown}, "<ctrl-c>": {Code: 'c', Mod: tea.ModCtrl}, "<ctrl-d>": {Code: 'd', Mod: tea.ModCtrl},
	}
	for _, p := range pressed {
		if k, ok := named[p]; ok {
			in.Update(k)
			continue
		}
		for _, r := range p {
			in.Update(tea.KeyPressMsg{Code: r, Text: string(r)})
		}
	}
}

func TestEditor(t *testing.T) {
	history := []string{"first", "two\nlines"}
	for what, tt := range map[string]struct {
		pressed []string
		value   string
		sent    bool
		over    bool
	}{
		"a message":                 {[]string{"你好 hello", "<enter>"}, "你好 hello", true, true},
		"two lines":                 {[]string{"a", "<alt-enter>", "b", "<ctrl-j>", "c", "<enter>"}, "a\nb\nc", true, true},
		"nothing yet":               {[]string{"a"}, "a", false, false},
		"Ctrl-D":                    {[]string{"<ctrl-d>"}, "", false, true},
		"Ctrl-D in a message":       {[]string{"a", "<ctrl-d>"}, "a", false, false},
		"Ctrl-C clears":             {[]string{"a", "<ctrl-c>"}, "", false, false},
		"Ctrl-C twice":              {[]string{"<ctrl-c>", "<ctrl-c>"}, "", false, true},
		"Ctrl-C and on":             {[]string{"<ctrl-c>", "a", "<ctrl-c>"}, "", false, false},
		"the last":                  {[]string{"<up>"}, "two\nlines", false, false},
		"the first":                 {[]string{"<up>", "<up>", "<up>"}, "first", false, false},
		"before the first is none":  {[]string{"<up>", "<up>", "<up>", "<up>"}, "first", false, false},
		"back to what was typed":    {[]string{"draft", "<up>", "<down>"}, "draft", false, false},
		"up within a message first": {[]string{"a", "<ctrl-j>", "b", "<up>"}, "a\nb", false, false},
	} {
		in := newInput("you> ", history, "hint")
		in.Init()
		in.Update(tea.WindowSizeMsg{Width: 40, Height: 10})
		keys(in, tt.pressed...)
		if got := in.area.Value(); got != tt.value || in.sent != tt.sent || in.over != tt.over {
			t.Errorf("%s: %q, sent %v, over %v, want %q, %v, %v", what, got, in.sent, in.over, tt.value, tt.sent, tt.over)
		}
	}
}

// TestEditorKeepsToItsWidth: long and wide text breaks at the edge, under the
// prompt, and the input leaves the screen when it is over.
func TestEditorKeepsToItsWidth(t *testing.T) {
	in := newInput("你> ", nil, "hint")
	in.Init()
	in.Update(tea.WindowSizeMsg{Width: 20, Height: 10})
	keys(in, strings.Repeat("你好", 12), "<ctrl-c>", strings.Repeat("你好", 12))
	lines := strings.Split(in.View().Content, "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], "你> 你好") || !strings.HasPrefix(lines[1], "    你") {
		t.Errorf("%q", lines)
	}
	for _, l := range lines {
		if term.Width(l) > 20 {
			t.Errorf("%q is %d columns wide", l, term.Width(l))
		}
	}
	keys(in, "<ctrl-c>", "<ctrl-c>")
	if v := in.View().Content; !strings.HasSuffix(v, "\nhint") {
		t.Errorf("after Ctrl-C: %q", v)
	}
	keys(in, "<ctrl-d>")
	if v := in.View().Content; v != "" {
		t.Errorf("after the end: %q", v)
	}
}
