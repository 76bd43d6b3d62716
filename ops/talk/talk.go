package talk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/chatglm/chat"
	"github.com/glmflow/glmflow/ops/lang"
	"github.com/glmflow/glmflow/ops/term"
)

// A Reader gives the next message; label says who is to speak. The end is
// io.EOF.
type Reader interface {
	Read(ctx context.Context, label string) (string, error)
}

// A Talk is the loop around a conversation.
type Talk struct {
	Conversation
	Options    chatglm.GenerateOptions
	In         Reader
	Out        *term.Screen // answers
	Err        *term.Screen // notes about them
	Say        lang.Printer
	Now        func() time.Time
	Verbose    bool             // tell how long answers took
	Interrupts <-chan os.Signal // each ends an answer

	answers uint64 // so far
	file    string // that was saved or loaded last, and may be written again
}

// Run talks until the reader's end, /exit or the end of ctx.
func (t *Talk) Run(ctx context.Context) error {
	for {
		label, role := t.Say.Sprintf("you"), chat.User
		if t.Pending() {
			label, role = t.Say.Sprintf("result"), chat.Observation
		}
		text, err := t.In.Read(ctx, label)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case strings.TrimSpace(text) == "":
			continue
		case strings.HasPrefix(text, "//"): // a message that begins with a slash
			text = text[1:]
		case strings.HasPrefix(text, "/"):
			if !t.command(text) {
				return nil
			}
			continue
		}
		t.Messages = append(t.Messages, chat.Message{Role: role, Content: text})
		if err := t.answer(ctx); err != nil {
			return err
		}
	}
}

// answer shows an answer while it comes.
func (t *Talk) answer(ctx context.Context) error {
	answering, stop := t.interruptible(ctx)
	defer stop()
	flow, shown, began := t.Out.Flow(), -1, t.Now()
	var first, last time.Time
	o := t.Options
	o.Seed += t.answers // a question that is asked again may get another answer
	t.answers++
	r, err := t.Answer(answering, o, func(p chat.Piece) {
		if last = t.Now(); first.IsZero() {
			first = last
		}
		if p.Text == "" {
			return
		}
		if shown >= 0 && p.Message != shown {
			flow.Write("\n")
		}
		shown = p.Message
		flow.Write(p.Text)
	})
	if shown >= 0 {
		flow.End()
	}
	if r.Left > 0 {
		t.note("The conversation is longer than the model's context: its oldest %d messages are no longer seen.", r.Left)
	}
	var long TooLong
	switch {
	case errors.As(err, &long):
		t.note("The message is too long: it takes %d tokens, and the model has room for %d.", long.Tokens, long.Room)
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case answering.Err() != nil && len(r.Messages) == 0:
		t.note("Interrupted before anything was said; the message was taken back.")
		return nil
	case answering.Err() != nil:
		t.note("Interrupted.")
		return nil
	case err != nil:
		return err
	}
	t.afterwards(r, shown >= 0)
	if t.Verbose {
		t.measure(r, first.Sub(began), last.Sub(first))
	}
	return nil
}

// afterwards says what the text of an answer alone does not.
func (t *Talk) afterwards(r Reply, spoke bool) {
	m := r.Messages[len(r.Messages)-1]
	switch {
	case m.Name != "":
		t.showCall(m)
	case !spoke:
		t.note("The answer is empty.")
	}
	switch r.Finish {
	case chatglm.FinishLength:
		t.note("The answer was cut after %d tokens (--max-new).", r.New)
	case chatglm.FinishContext:
		t.note("The answer was cut where the model's context ends.")
	}
}

// showCall shows what the model wants to know. Nothing is run.
func (t *Talk) showCall(m chat.Message) {
	flow := t.Out.Flow()
	arguments, err := chat.ParseCall(m.Content)
	if err != nil {
		flow.Write("→ " + m.Name + "\n" + m.Content)
		flow.End()
		t.note("This cannot be read as a call: %v", err)
	} else {
		flow.Write("→ " + m.Name + " " + string(arguments))
		flow.End()
	}
	if t.Out.Terminal {
		t.note("Give its result, or /undo.")
	}
}

// measure tells how fast an answer came. The first token takes the prompt's
// time, the others each their own.
func (t *Talk) measure(r Reply, prompt, others time.Duration) {
	rate := func(n int, d time.Duration) float64 {
		if n <= 0 || d <= 0 {
			return 0
		}
		return float64(n) / d.Seconds()
	}
	t.note("prompt: %d tokens, %d known, %.1f tokens/s; answer: %d tokens, %.1f tokens/s",
		r.Prompt, r.Reused, rate(r.Prompt-r.Reused, prompt), r.New, rate(r.New-1, others))
}

// interruptible is ctx until the next interrupt, too. The caller calls stop.
func (t *Talk) interruptible(ctx context.Context) (answering context.Context, stop func()) {
	select {
	case <-t.Interrupts: // of an earlier answer
	default:
	}
	answering, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-t.Interrupts:
			cancel()
		case <-answering.Done():
		}
	}()
	return answering, cancel
}

// note says something about the conversation that is not part of it.
func (t *Talk) note(format string, args ...any) {
	text := term.Clean(t.Say.Sprintf(format, args...))
	if t.Err.Terminal {
		text = t.Err.Style(term.Faint, term.Wrap(text, t.Err.Width, ""))
	}
	fmt.Fprintln(t.Err.W, text)
}
