package talk

import (
	"context"
	"fmt"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/chatglm/chat"
	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
)

// A Speaker continues prompts: a [chatglm.Session], which computes only what a
// turn adds.
type Speaker interface {
	Generate(ctx context.Context, prompt []int32, o chatglm.GenerateOptions) (chatglm.Answer, error)
}

// A Conversation is what was said, and the model that answers.
type Conversation struct {
	Speaker Speaker
	Encoder tokenizer.Encoder
	Context int // tokens that the model was made for

	System   string         // "" is none
	Tools    string         // JSON list of definitions, "" is none
	Messages []chat.Message // without the system message

	from int // messages before it have left the model's sight
}

// A Reply is one answer with what it took.
type Reply struct {
	Messages []chat.Message // none if it was interrupted before anything was said
	Left     int            // messages that had to leave the model's sight for it
	Prompt   int            // tokens of the prompt
	Reused   int            // of which were computed before
	New      int            // tokens of the answer
	Finish   chatglm.Finish
}

// A TooLong is the error that a message does not fit the model, even when all
// before it has left.
type TooLong struct{ Tokens, Room int }

func (e TooLong) Error() string {
	return fmt.Sprintf("the message takes %d tokens with what must stand around it, and the model has room for %d", e.Tokens, e.Room)
}

// Pending reports that the model has called a tool and waits for its result.
func (c *Conversation) Pending() bool {
	n := len(c.Messages)
	return n > 0 && c.Messages[n-1].Role == chat.Assistant && c.Messages[n-1].Name != ""
}

// Answer lets the model answer what was said last; hear gets the text as it
// comes. If ctx ends first, what was said by then counts, but for half a call;
// if that is nothing, the last message is taken back. So it is after an error.
func (c *Conversation) Answer(ctx context.Context, o chatglm.GenerateOptions, hear func(chat.Piece)) (Reply, error) {
	var r Reply
	prompt, err := c.fit(o.MaxNew, &r)
	if err != nil {
		c.Messages = c.Messages[:len(c.Messages)-1]
		return r, err
	}
	l := chat.Listen(c.Encoder)
	o.Stop = tokenizer.SpecialsOf(c.Encoder.Pieces()).Stops()
	o.OnToken = func(_ int, t chatglm.Token) { hear(l.Add(t.ID)) }
	a, err := c.Speaker.Generate(ctx, prompt, o)
	rest, messages := l.End()
	hear(rest)
	r.Prompt, r.Reused, r.New, r.Finish = len(prompt), a.Reused, len(a.Tokens), a.Finish
	if err == nil {
		r.Messages = messages
	} else if ctx.Err() != nil {
		for _, m := range messages {
			if m.Name == "" && m.Content != "" {
				r.Messages = append(r.Messages, m)
			}
		}
	}
	if len(r.Messages) == 0 {
		c.Messages = c.Messages[:len(c.Messages)-1]
	}
	c.Messages = append(c.Messages, r.Messages...)
	return r, err
}

// fit makes the prompt, with room for an answer behind it. Where there is none,
// turns leave from the front, and as many more as free a quarter of the context:
// each time that some leave, all of the rest has to be computed anew.
func (c *Conversation) fit(room int, r *Reply) ([]int32, error) {
	limit := c.Context - min(room, c.Context/4)
	prompt, err := c.prompt()
	if err != nil || len(prompt) <= limit {
		return prompt, err
	}
	for len(prompt) > limit-c.Context/4 {
		next := c.turn(c.from + 1)
		if next == len(c.Messages) {
			break
		}
		r.Left += next - c.from
		c.from = next
		if prompt, err = c.prompt(); err != nil {
			return nil, err
		}
	}
	if len(prompt) > limit {
		return nil, TooLong{len(prompt), limit}
	}
	return prompt, nil
}

func (c *Conversation) prompt() ([]int32, error) {
	var messages []chat.Message
	if c.System != "" {
		messages = append(messages, chat.Message{Role: chat.System, Content: c.System})
	}
	return chat.Prompt(c.Encoder, append(messages, c.Messages[c.from:]...), c.Tools)
}

// turn is the first message from i on that begins a turn, or the end.
func (c *Conversation) turn(i int) int {
	for i < len(c.Messages) && c.Messages[i].Role != chat.User {
		i++
	}
	return i
}

// Undo takes the last turn back: what the user said last and all that followed.
func (c *Conversation) Undo() bool {
	for i := len(c.Messages) - 1; i >= 0; i-- {
		if c.Messages[i].Role == chat.User {
			c.set(c.Messages[:i])
			return true
		}
	}
	return false
}

// set replaces what was said; what the model sees of it begins anew if need be.
func (c *Conversation) set(messages []chat.Message) {
	c.Messages = messages
	if c.from >= len(messages) {
		c.from = 0
	}
}
