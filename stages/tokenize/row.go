package tokenize

import (
	"errors"
	"fmt"
	"strings"

	"github.com/glmflow/glmflow/gpu/chatglm/chat"
	"github.com/glmflow/glmflow/schemas"
)

// Rules of rejects.
const (
	ruleNoTarget   = "no-target"
	ruleChatFormat = "chat-format"
	ruleParity     = "parity"
)

// Encode writes a conversation as a row, or says why it cannot be one.
func (s *Stage) Encode(d schemas.Dialogue) (schemas.TokenRow, *schemas.Reject) {
	msgs := make([]chat.Message, len(d.Turns))
	for i, t := range d.Turns {
		msgs[i] = chat.Message{Role: t.Role, Name: t.Name, Content: t.Content, Train: t.Train}
	}
	o := chat.Options{EndWithEOS: s.c.TurnEnd == TurnEndEOS}
	ids, labels, truncated, err := chat.Encode(s.enc, msgs, d.Tools, o)
	if err == nil {
		if reason := s.differs(ids, msgs, d.Tools); reason != "" {
			return schemas.TokenRow{}, reject(d, ruleParity, reason)
		}
	}
	if err == nil && len(ids) > s.c.MaxLength {
		o.MaxLength = s.c.MaxLength
		ids, labels, truncated, err = chat.Encode(s.enc, msgs, d.Tools, o)
	}
	switch {
	case errors.Is(err, chat.ErrNoTarget):
		return schemas.TokenRow{}, reject(d, ruleNoTarget, err.Error())
	case err != nil:
		return schemas.TokenRow{}, reject(d, ruleChatFormat, err.Error())
	}
	row := schemas.TokenRow{
		ID: d.ID, IDs: ids, Labels: labels, Truncated: truncated,
		Lang: d.Lang, Signature: d.Signature, Origin: d.Origin,
	}
	for _, l := range labels {
		if l != schemas.IgnoreLabel {
			row.Targets++
		}
	}
	return row, nil
}

// differs reports where ids decode to something else than the conversation says.
// It cannot happen with a sound vocabulary; a model trained on such rows would
// be spoilt without a sign, so it is checked for every one.
func (s *Stage) differs(ids []int32, msgs []chat.Message, tools string) string {
	want, err := chat.Text(msgs, tools)
	if err != nil {
		return err.Error()
	}
	got := s.enc.Decode(ids)
	if got == want {
		return ""
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	return fmt.Sprintf("at byte %d its ids decode to %.40q, and the text is %.40q", at, got[at:], want[at:])
}

// maxSample is the number of bytes of a dropped conversation that are kept.
const maxSample = 512

func reject(d schemas.Dialogue, rule, reason string) *schemas.Reject {
	var b strings.Builder
	for _, t := range d.Turns {
		if b.Len() > maxSample {
			break
		}
		fmt.Fprintf(&b, "%s: %.*s\n", t.Role, maxSample, t.Content)
	}
	sample := b.String()
	if len(sample) > maxSample {
		sample = strings.ToValidUTF8(sample[:maxSample], "")
	}
	return &schemas.Reject{ID: d.ID, Stage: stageName, Rule: rule, Reason: reason, Origin: d.Origin, Sample: sample}
}
