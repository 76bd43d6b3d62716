package chat

import (
	"errors"
	"fmt"
	"strings"

	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
)

// Roles of a [Message].
const (
	System      = "system"
	User        = "user"
	Assistant   = "assistant"
	Observation = "observation" // a tool's result
)

// A Message is one turn of a conversation.
type Message struct {
	Role    string // one of the four roles
	Name    string // metadata in the header line: the tool that an assistant calls, otherwise ""
	Content string
	Train   *bool // false keeps an assistant message from being learned; nil and true mean by role
}

// learned reports whether the message's tokens are targets: the assistant's are,
// unless its flag says no; what others say never is.
func (m Message) learned() bool { return m.Role == Assistant && (m.Train == nil || *m.Train) }

// ToolSentence is the system text that stands before the tools when the
// conversation has none of its own. The model was trained on these very words.
const ToolSentence = "Answer the following questions as best as you can. You have access to the following tools:"

// conversation checks msgs and joins the tools, a JSON list or "", to the system
// message as the format wants them.
func conversation(msgs []Message, tools string) ([]Message, error) {
	list, err := indentTools(tools)
	if err != nil {
		return nil, err
	}
	if list != "" {
		system := Message{Role: System, Content: ToolSentence}
		if len(msgs) > 0 && msgs[0].Role == System {
			system, msgs = msgs[0], msgs[1:]
		}
		system.Content += "\n" + list
		msgs = append([]Message{system}, msgs...)
	}
	if len(msgs) == 0 {
		return nil, errors.New("the conversation has no message")
	}
	for i, m := range msgs {
		if _, err := roleID(m.Role, tokenizer.Special{}); err != nil {
			return nil, fmt.Errorf("message %d: %w", i+1, err)
		}
		if strings.Contains(m.Name, "\n") {
			return nil, fmt.Errorf("message %d: name %q has more than one line", i+1, m.Name)
		}
	}
	return msgs, nil
}

func roleID(role string, s tokenizer.Special) (int32, error) {
	switch role {
	case System:
		return s.System, nil
	case User:
		return s.User, nil
	case Assistant:
		return s.Assistant, nil
	case Observation:
		return s.Observation, nil
	}
	return 0, fmt.Errorf("role %q is unknown: use %s, %s, %s or %s", role, System, User, Assistant, Observation)
}

// Prompt returns the ids that ask for the next answer: all of msgs, then
// <|assistant|>. Tools is a JSON list of tool definitions, or "".
func Prompt(enc tokenizer.Encoder, msgs []Message, tools string) ([]int32, error) {
	parts, err := encodeParts(enc, msgs, tools)
	if err != nil {
		return nil, err
	}
	s := tokenizer.SpecialsOf(enc.Pieces())
	ids := []int32{s.GMask, s.Sop}
	for _, p := range parts {
		ids = append(append(ids, p.head...), p.body...)
	}
	return append(ids, s.Assistant), nil
}

// Text returns what the ids of a conversation, without the closing token, decode
// to: the specials by name, a line with the message's name, and its content
// after one space. U+2581 reads as a space and broken UTF-8 as U+FFFD, as they
// do after encoding.
func Text(msgs []Message, tools string) (string, error) {
	msgs, err := conversation(msgs, tools)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("[gMASK]sop")
	for _, m := range msgs {
		b.WriteString("<|" + m.Role + "|>" + m.Name + "\n")
		if m.Content != "" {
			b.WriteString(" " + m.Content)
		}
	}
	return strings.ReplaceAll(string([]rune(b.String())), "▁", " "), nil
}
