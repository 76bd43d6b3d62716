package chat

import (
	"strings"
	"unicode"

	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
)

// A Listener makes messages of an answer's ids while they come. An answer is one
// message as a rule, or a thought and then a call: the model says <|assistant|>
// between them. Other specials are not part of what is said. Ids decide, not
// text: nothing that the model spells can end a message.
type Listener struct {
	text  *tokenizer.Stream
	first int32 // of the special ids
	next  int32 // <|assistant|>
	done  []Message

	// The message that is being said.
	name  string
	named bool            // whether its first line has ended
	held  string          // text that may still turn out to be something else
	given strings.Builder // content so far
}

// A Piece is new text of a message's content.
type Piece struct {
	Message int // its number in the answer
	Text    string
}

// Listen begins to listen to an answer: the ids after <|assistant|>.
func Listen(enc tokenizer.Encoder) *Listener {
	s := tokenizer.SpecialsOf(enc.Pieces())
	return &Listener{text: enc.Stream(), first: s.Mask, next: s.Assistant}
}

// nameLimit is the longest first line, in bytes, that is taken for the name of a
// tool. A model that does not keep to the format may write a page without a line
// break, and people want to see it come.
const nameLimit = 64

// Add takes the next id and returns the content that it makes certain, in whole
// characters and without the space around the content. A call of a tool comes
// with [Listener.End] alone: half a call is of no use to anybody.
func (l *Listener) Add(id int32) Piece {
	p := Piece{Message: len(l.done)}
	switch {
	case id == l.next:
		p.Text = l.close()
	case id < l.first:
		l.held += l.text.Add(id)
		p.Text = l.settle()
	}
	return p
}

// End returns the rest of the last message, and all messages. It is called once.
func (l *Listener) End() (Piece, []Message) {
	p := Piece{Message: len(l.done), Text: l.close()}
	return p, l.done
}

// settle takes from the held text what is certain to be content.
func (l *Listener) settle() string {
	if !l.named {
		name, rest, ended := strings.Cut(l.held, "\n")
		switch {
		case len(name) > nameLimit:
			l.named = true
		case ended:
			l.named, l.name, l.held = true, strings.TrimSpace(name), rest
		}
	}
	if !l.named || l.name != "" {
		return ""
	}
	if l.given.Len() == 0 {
		l.held = strings.TrimLeftFunc(l.held, unicode.IsSpace)
	}
	l.held = strings.ReplaceAll(l.held, trainingDate, knownDate)
	sure := len(l.held)
	for n := min(len(trainingDate)-1, sure); n > 0; n-- {
		if strings.HasSuffix(l.held, trainingDate[:n]) {
			sure -= n
			break
		}
	}
	text := strings.TrimRightFunc(l.held[:sure], unicode.IsSpace)
	l.held = l.held[len(text):]
	l.given.WriteString(text)
	return text
}

// close ends the message and returns the rest of its content.
func (l *Listener) close() string {
	l.held += l.text.End()
	text := l.settle()
	if !l.named { // a text without a line break is all content
		l.named = true
		text = l.settle()
	}
	m := Message{Role: Assistant, Name: l.name, Content: strings.TrimSpace(l.held)}
	if l.name == "" {
		rest := strings.TrimRightFunc(l.held, unicode.IsSpace)
		text += rest
		m.Content = l.given.String() + rest
	}
	l.done = append(l.done, m)
	l.name, l.named, l.held = "", false, ""
	l.given.Reset()
	return text
}
