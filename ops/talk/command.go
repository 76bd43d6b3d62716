package talk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// command does what a line that begins with a slash says. It reports whether to
// go on.
func (t *Talk) command(line string) bool {
	name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	rest = strings.TrimSpace(rest)
	switch name {
	case "/help":
		t.help()
	case "/exit":
		return false
	case "/reset":
		t.set(nil)
		t.note("A new conversation.")
	case "/undo":
		if t.Undo() {
			t.note("The last turn was taken back; %d messages are left.", len(t.Messages))
		} else {
			t.note("There is nothing to take back.")
		}
	case "/save":
		t.save(rest)
	case "/load":
		t.load(rest)
	case "/system":
		t.system(rest)
	case "/tools":
		t.tools(rest)
	default:
		t.note("There is no command %s: /help lists them. For a message that begins with a slash write two.", name)
	}
	return true
}

func (t *Talk) help() {
	rows := [][]string{
		{"/help", t.Say.Sprintf("this list")},
		{"/reset", t.Say.Sprintf("begin a new conversation; system text and tools stay")},
		{"/undo", t.Say.Sprintf("take the last turn back")},
		{"/save FILE", t.Say.Sprintf("write the conversation as ingest and finetune read it")},
		{"/load FILE", t.Say.Sprintf("go on with a saved conversation")},
		{"/system TEXT", t.Say.Sprintf("set the system text; alone shows it, - removes it")},
		{"/tools FILE", t.Say.Sprintf("set the tools, a JSON list; alone names them, - removes them")},
		{"/exit", t.Say.Sprintf("leave, as Ctrl-D does")},
	}
	if t.Out.Terminal {
		rows = append(rows, []string{"Alt-Enter, Ctrl-J", t.Say.Sprintf("a new line within a message")},
			[]string{"Ctrl-C", t.Say.Sprintf("stop the answer, or clear the line")})
	}
	for _, r := range rows {
		fmt.Fprintf(t.Out.W, "%-18s %s\n", r[0], r[1])
	}
}

func (t *Talk) save(path string) {
	switch _, err := os.Lstat(path); {
	case path == "":
		t.note("Say where: /save FILE")
		return
	case len(t.Messages) == 0:
		t.note("There is nothing to save.")
		return
	case !errors.Is(err, fs.ErrNotExist) && path != t.file:
		t.note("%s is there already: choose another name.", path)
		return
	}
	if err := t.Conversation.save(path); err != nil {
		t.note("%v", err)
		return
	}
	t.file = path
	t.note("%d messages were written to %s.", len(t.Messages), path)
}

func (t *Talk) load(path string) {
	if path == "" {
		t.note("Say which: /load FILE")
		return
	}
	if err := t.Conversation.load(path); err != nil {
		t.note("%v", err)
		return
	}
	t.file = path
	t.note("%d messages were read from %s.", len(t.Messages), path)
}

func (t *Talk) system(text string) {
	switch text {
	case "":
	case "-":
		t.System = ""
	default:
		t.System = text
	}
	if t.System == "" {
		t.note("There is no system text.")
		return
	}
	t.note("System text: %s", t.System)
}

func (t *Talk) tools(path string) {
	switch path {
	case "":
	case "-":
		t.Tools = ""
	default:
		tools, err := ReadTools(path)
		if err != nil {
			t.note("%v", err)
			return
		}
		t.Tools = tools
	}
	names := toolNames(t.Tools)
	if len(names) == 0 {
		t.note("There are no tools.")
		return
	}
	t.note("Tools: %s", strings.Join(names, ", "))
}
