package chatglm

import (
	"context"
	"fmt"
	"slices"
)

// GenerateOptions say how to continue prompts. The zero value takes the
// likeliest token, 256 times.
type GenerateOptions struct {
	MaxNew int // tokens at most; 0 means 256

	// Scores are changed in the order of the original code: penalty, temperature,
	// top-k, top-p. Of equal scores those of lower ids come first.
	RepetitionPenalty float32 // divides positive scores of ids seen before and multiplies negative ones; 0 means 1
	Temperature       float32 // 0 always takes the likeliest token
	TopK              int     // sample among so many tokens; 0 among all
	TopP              float32 // sample among the likeliest that together have this probability; 0 means 1
	Seed              uint64  // of sampling; with the prompt it decides an answer, whatever else is in the batch

	// Stop are the ids that end an answer and are not part of it: see
	// tokenizer.Special.Stops.
	Stop []int32

	Logprobs    bool // compute each token's log-probability
	TopLogprobs int  // and those of that many likeliest tokens

	// OnToken hears of each new token, nil of none.
	OnToken func(prompt int, t Token)
}

// A Token is one step of an answer. Log-probabilities are those of the model
// itself, in nats, before penalty and temperature.
type Token struct {
	ID      int32
	Logprob float64       // 0 unless asked for
	Top     []Alternative // the likeliest first; nil unless asked for
}

// An Alternative is a token that might have come.
type Alternative struct {
	ID      int32
	Logprob float64
}

// Finish is why an answer ended.
type Finish string

// The reasons. An answer that was interrupted has none.
const (
	FinishStop    Finish = "stop"    // the model said a stop id
	FinishLength  Finish = "length"  // MaxNew tokens
	FinishContext Finish = "context" // the model's sequence length
)

// An Answer continues a prompt.
type Answer struct {
	Tokens []Token // without the stop id
	Finish Finish
	Reused int // tokens of the prompt that a [Session] had computed already
}

// IDs are the answer's ids.
func (a Answer) IDs() []int32 {
	ids := make([]int32, len(a.Tokens))
	for i, t := range a.Tokens {
		ids[i] = t.ID
	}
	return ids
}

// Generate continues each prompt until a stop id, MaxNew tokens or the model's
// sequence length. Prompts of different lengths share the work; every one gets
// the answer it would get alone, up to the rounding of a device whose products
// depend on the number of rows. If ctx ends before the answers do, what there is
// of them comes with the error.
func (m *Model) Generate(ctx context.Context, prompts [][]int32, o GenerateOptions) ([]Answer, error) {
	o, err := m.checkOptions(o)
	if err != nil {
		return nil, err
	}
	if len(prompts) == 0 {
		return []Answer{}, nil
	}
	turns := make([]*turn, len(prompts))
	for i, p := range prompts {
		if err := m.checkPrompt(p); err != nil {
			return nil, fmt.Errorf("generate: prompt %d %w", i, err)
		}
		turns[i] = newTurn(i, p, o, m.cfg.PaddedVocabSize)
	}
	d, err := m.newDecoder(len(prompts))
	if err != nil {
		return nil, err
	}
	defer d.close()
	err = d.generate(ctx, turns, o)
	answers := make([]Answer, len(turns))
	for i, t := range turns {
		answers[i] = t.answer
	}
	return answers, err
}

// checkOptions fills in what 0 means.
func (m *Model) checkOptions(o GenerateOptions) (GenerateOptions, error) {
	if o.MaxNew < 0 || !(o.Temperature >= 0) || o.TopK < 0 || !(o.TopP >= 0 && o.TopP <= 1) || !(o.RepetitionPenalty >= 0) || o.TopLogprobs < 0 {
		return o, fmt.Errorf("generate: options must not be negative, and top-p at most 1: %d new tokens, temperature %g, top-k %d, top-p %g, repetition penalty %g, %d log-probabilities",
			o.MaxNew, o.Temperature, o.TopK, o.TopP, o.RepetitionPenalty, o.TopLogprobs)
	}
	if o.MaxNew == 0 {
		o.MaxNew = 256
	}
	if o.TopP == 0 {
		o.TopP = 1
	}
	if o.RepetitionPenalty == 0 {
		o.RepetitionPenalty = 1
	}
	o.TopLogprobs = min(o.TopLogprobs, m.cfg.PaddedVocabSize)
	return o, nil
}

// CheckPrompt says why [Model.Generate] would refuse a prompt, so that it need not
// cost the others their answers.
func (m *Model) CheckPrompt(p []int32) error {
	if err := m.checkPrompt(p); err != nil {
		return fmt.Errorf("the prompt %w", err)
	}
	return nil
}

// checkPrompt finds what the network could not compute; the error continues
// "prompt …".
func (m *Model) checkPrompt(p []int32) error {
	if len(p) == 0 {
		return fmt.Errorf("is empty")
	}
	if len(p) > m.cfg.SeqLength {
		return fmt.Errorf("has %d tokens, the model was made for %d", len(p), m.cfg.SeqLength)
	}
	for k, id := range p {
		if id < 0 || int(id) >= m.cfg.PaddedVocabSize {
			return fmt.Errorf("has id %d as token %d, the vocabulary has %d ids", id, k, m.cfg.PaddedVocabSize)
		}
	}
	return nil
}

// A turn is one prompt on its way.
type turn struct {
	slot    int     // in the cache, and the prompt's index
	ids     []int32 // the prompt and what came after it
	past    int     // of ids, how many the cache holds
	sampler *sampler
	answer  Answer
}

func newTurn(slot int, prompt []int32, o GenerateOptions, vocabulary int) *turn {
	return &turn{slot: slot, ids: slices.Clone(prompt), sampler: newSampler(o, prompt, vocabulary)}
}

// generate goes on until every turn has ended. Turns that have leave the batch.
func (d *decoder) generate(ctx context.Context, turns []*turn, o GenerateOptions) error {
	v := d.m.cfg.PaddedVocabSize
	open := slices.Clone(turns)
	for len(open) > 0 {
		scores, err := d.advance(ctx, open)
		if err != nil {
			return err
		}
		still := open[:0]
		for k, t := range open {
			token, err := t.sampler.next(scores[k*v : (k+1)*v])
			if err != nil {
				return fmt.Errorf("generate: prompt %d, token %d: %w", t.slot, len(t.answer.Tokens), err)
			}
			if slices.Contains(o.Stop, token.ID) {
				t.answer.Finish = FinishStop
				continue
			}
			t.ids = append(t.ids, token.ID)
			t.answer.Tokens = append(t.answer.Tokens, token)
			if o.OnToken != nil {
				o.OnToken(t.slot, token)
			}
			switch {
			case len(t.answer.Tokens) == o.MaxNew:
				t.answer.Finish = FinishLength
			case t.past == d.m.cfg.SeqLength:
				t.answer.Finish = FinishContext
			default:
				still = append(still, t)
			}
		}
		open = still
	}
	return nil
}
