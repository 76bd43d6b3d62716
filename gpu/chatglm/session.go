package chatglm

import (
	"context"
	"fmt"
)

// A Session answers one prompt after the other and keeps the keys and values of
// the last prompt and its answer. A prompt that begins with the same ids costs
// only what is new in it, as the next turn of a conversation does; the answer
// is the one that [Model.Generate] gives. Any prompt may follow any other.
//
// The weights must stay as they are while a session is in use, adapters
// included; after a change call Reset.
type Session struct {
	d     *decoder
	ids   []int32 // of which the cache holds keys and values
	pages []int32 // in which it does
}

// NewSession starts with nothing computed. The caller closes it, before the
// model.
func (m *Model) NewSession() (*Session, error) {
	d, err := m.newDecoder(1, GenerateOptions{})
	if err != nil {
		return nil, err
	}
	return &Session{d: d}, nil
}

// Generate is [Model.Generate] for one prompt. OnToken gets the number 0.
func (s *Session) Generate(ctx context.Context, prompt []int32, o GenerateOptions) (Answer, error) {
	m := s.d.m
	o, err := m.checkOptions(o)
	if err != nil {
		return Answer{}, err
	}
	if err := m.checkPrompt(prompt); err != nil {
		return Answer{}, fmt.Errorf("generate: the prompt %w", err)
	}
	t := newTurn(0, prompt, o, m.cfg.PaddedVocabSize)
	// The last id must go through the network: what comes after it is wanted.
	for t.past < len(prompt)-1 && t.past < len(s.ids) && s.ids[t.past] == prompt[t.past] {
		t.past++
	}
	t.answer.Reused = t.past
	keep := pagesOf(t.past)
	t.pages = s.pages[:keep:keep]
	s.d.pages.drop(s.pages[keep:])
	s.ids, s.pages = nil, nil // for the case of a fault, which leaves the cache in pieces
	o.keep = true
	err = m.dev.Do(func() error {
		if err := s.d.alloc(o); err != nil {
			return err
		}
		return s.d.generate(ctx, []*turn{t}, o)
	})
	if err == nil || ctx.Err() != nil {
		s.ids, s.pages = t.ids[:t.past], t.pages
	} else {
		s.d.pages.drop(t.pages)
	}
	return t.answer, err
}

// Reset forgets what was computed.
func (s *Session) Reset() {
	s.d.pages.drop(s.pages)
	s.ids, s.pages, s.d.encoded = nil, nil, false
}

// Close gives the memory back.
func (s *Session) Close() { s.d.close() }
