package chat

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
)

// Ignore is the label of a position that is not a target.
const Ignore int32 = -100

// ErrNoTarget says that a conversation teaches nothing: no assistant message is
// to be learned, or none has room.
var ErrNoTarget = errors.New("no target")

// Options say how [Encode] closes and cuts conversations.
type Options struct {
	// MaxLength bounds the ids of a conversation; 0 means no bound.
	MaxLength int
	// EndWithEOS makes the end token the target behind an answer within a
	// conversation. By default it is the role token that follows there, as in
	// ChatGLM3's own training.
	EndWithEOS bool
}

// Encode returns a conversation as one training sample: its ids, closed by the
// end token, and a label for each, which is the id itself where it is to be
// learned and [Ignore] elsewhere. Labels are not shifted: the model shifts them.
//
// Learned are the tokens that follow a token of a learned message (see
// [Message.Train]): not the <|assistant|> that opens it, but the token that
// comes after it, which teaches the model to stop.
//
// What is longer than the limit is cut, and truncated is true; room for the end
// token is always kept. Whole messages go first, from the end, and with them
// what is then left without an answer, so that every answer keeps all it was
// given in reply to. Where not even the first learned answer fits, earlier
// messages go from the front, and what is still too long is cut: the answer, the
// message before it, or each to a half of the room. The system message stays
// whole. A conversation that ends with no target at all is [ErrNoTarget].
func Encode(enc tokenizer.Encoder, msgs []Message, tools string, o Options) (ids, labels []int32, truncated bool, err error) {
	parts, err := encodeParts(enc, msgs, tools)
	if err != nil {
		return nil, nil, false, err
	}
	if !slices.ContainsFunc(parts, part.teaches) {
		return nil, nil, false, fmt.Errorf("%w: no assistant message is to be learned", ErrNoTarget)
	}
	if o.MaxLength > 0 && length(parts) > o.MaxLength {
		truncated = true
		if parts, err = fit(enc, parts, o.MaxLength); err != nil {
			return nil, nil, true, err
		}
	}
	ids, labels = join(parts, tokenizer.SpecialsOf(enc.Pieces()), o.EndWithEOS)
	return ids, labels, truncated, nil
}

// A part is an encoded message.
type part struct {
	head  []int32 // the role token, then the name line
	body  []int32 // the content
	role  string
	learn bool
}

func (p part) len() int      { return len(p.head) + len(p.body) }
func (p part) teaches() bool { return p.learn }

func encodeParts(enc tokenizer.Encoder, msgs []Message, tools string) ([]part, error) {
	msgs, err := conversation(msgs, tools)
	if err != nil {
		return nil, err
	}
	s := tokenizer.SpecialsOf(enc.Pieces())
	parts := make([]part, len(msgs))
	for i, m := range msgs {
		id, err := roleID(m.Role, s)
		if err != nil {
			return nil, err
		}
		parts[i] = part{
			head: append([]int32{id}, enc.Encode(m.Name+"\n")...),
			body: enc.Encode(m.Content), role: m.Role, learn: m.learned(),
		}
	}
	return parts, nil
}

// frame is the number of ids around the messages: [gMASK], sop and the end.
const frame = 3

func length(parts []part) int {
	n := frame
	for _, p := range parts {
		n += p.len()
	}
	return n
}

// join writes the parts as ids and labels. A position is a target when the
// position before it belongs to a learned message.
func join(parts []part, s tokenizer.Special, endWithEOS bool) (ids, labels []int32) {
	ids = append(make([]int32, 0, length(parts)), s.GMask, s.Sop)
	labels = append(make([]int32, 0, length(parts)), Ignore, Ignore)
	learn := false // whether the previous part is learned
	closed := func(id int32) int32 {
		switch {
		case !learn:
			return Ignore
		case endWithEOS:
			return tokenizer.EOS
		}
		return id
	}
	for _, p := range parts {
		labels = append(labels, closed(p.head[0]))
		ids = append(append(ids, p.head...), p.body...)
		for _, id := range ids[len(labels):] {
			if !p.learn {
				id = Ignore
			}
			labels = append(labels, id)
		}
		learn = p.learn
	}
	labels = append(labels, closed(tokenizer.EOS))
	return append(ids, tokenizer.EOS), labels
}

// minRoom is the least number of ids that fit asks for beside what must stay
// whole; fewer would teach a fragment of a word.
const minRoom = 4

// fit cuts parts to at most limit ids; see [Encode] for the rule.
func fit(enc tokenizer.Encoder, parts []part, limit int) ([]part, error) {
	n, end := frame, 0
	for i, p := range parts {
		if n += p.len(); n > limit {
			break
		}
		if p.learn {
			end = i + 1
		}
	}
	if end > 0 {
		return parts[:end], nil
	}

	parts = parts[:1+slices.IndexFunc(parts, part.teaches)]
	var kept []part
	if parts[0].role == System {
		kept, parts = parts[:1:1], parts[1:]
	}
	room := limit - length(kept)
	for n := length(parts) - frame; len(parts) > 2 && n > room; parts = parts[1:] {
		n -= parts[0].len()
	}
	for _, p := range parts {
		room -= len(p.head)
	}
	if room < minRoom {
		return nil, fmt.Errorf("%w: a limit of %d ids leaves no room for an answer", ErrNoTarget, limit)
	}
	last := len(parts) - 1
	answer := parts[last]
	if last == 0 {
		return append(kept, cut(enc, answer, room)), nil
	}
	question := parts[0]
	switch q, a := len(question.body), len(answer.body); {
	case q+a <= room:
	case a <= room/2:
		question = cut(enc, question, room-a)
	case q <= room/2:
		answer = cut(enc, answer, room-q)
	default:
		question, answer = cut(enc, question, room/2), cut(enc, answer, room-room/2)
	}
	return append(kept, question, answer), nil
}

// cut shortens a part's content to at most n ids, and by up to three more where
// the cut would leave a character's first bytes alone.
func cut(enc tokenizer.Encoder, p part, n int) part {
	if len(p.body) <= n {
		return p
	}
	p.body = p.body[:n:n]
	for back := 0; back < 3 && len(p.body) > 0 && strings.HasSuffix(enc.Decode(p.body), "\uFFFD"); back++ {
		p.body = p.body[:len(p.body)-1]
	}
	return p
}
