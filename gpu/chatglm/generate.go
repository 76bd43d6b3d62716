package chatglm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/glmflow/glmflow/gpu/device"
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

	keep bool // the pages of a turn that has ended
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
	err = m.dev.Do(func() error {
		d, err := m.newDecoder(len(prompts), o)
		if err != nil {
			return err
		}
		defer d.close()
		d.share(turns)
		return d.generate(ctx, turns, o)
	})
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

// errScores is what broken weights lead to. The original code hides it behind
// a made-up token.
var errScores = errors.New("scores are not finite: the weights are damaged or were trained with too high a learning rate")

// A turn is one prompt on its way.
type turn struct {
	prompt   int     // its number
	ids      []int32 // the prompt and what came after it
	past     int     // of ids, how many the cache holds
	pages    []int32 // that hold them
	seen     []int32 // a bit for each id that came before, with a repetition penalty
	sampling device.Sampling
	answer   Answer

	after *turn // whose first pages this one shares
	alike int   // so many of its ids
}

func newTurn(number int, prompt []int32, o GenerateOptions, vocabulary int) *turn {
	t := &turn{prompt: number, ids: slices.Clone(prompt), sampling: device.Sampling{
		Penalty: o.RepetitionPenalty, Temperature: o.Temperature, TopK: int32(o.TopK), TopP: o.TopP, Seed: device.Stream(o.Seed, uint64(len(prompt))),
	}}
	if o.RepetitionPenalty != 1 {
		t.seen = make([]int32, (vocabulary+31)/32)
	}
	for _, id := range prompt {
		t.sampling.Seed = device.Stream(t.sampling.Seed, uint64(id))
		t.see(id)
	}
	return t
}

// see remembers that an id came before.
func (t *turn) see(id int32) {
	if t.seen != nil {
		t.seen[id/32] |= 1 << (id % 32)
	}
}

// waits reports whether pages that the turn shares are not all computed.
func (t *turn) waits() bool { return t.after != nil && t.after.past < t.alike }

// share lets turns begin in the pages of earlier ones that begin alike. The last
// id of a turn is always its own: what comes after it is wanted.
func (d *decoder) share(turns []*turn) {
	const page = device.PagePositions
	for i, t := range turns {
		for _, earlier := range turns[:i] {
			most, n := min(len(t.ids)-1, len(earlier.ids)), 0
			for n < most && t.ids[n] == earlier.ids[n] {
				n++
			}
			if n = n / page * page; n > t.alike {
				t.after, t.alike = earlier, n
			}
		}
	}
	for _, t := range turns {
		t.past = t.alike
	}
}

// generate goes on until every turn has ended. Turns that have leave the batch.
func (d *decoder) generate(ctx context.Context, turns []*turn, o GenerateOptions) error {
	open := slices.Clone(turns)
	for len(open) > 0 {
		if err := d.advance(ctx, open); err != nil {
			return err
		}
		tokens, err := d.pick(open, o)
		if err != nil {
			return err
		}
		var still []*turn
		for k, t := range open {
			if t.take(tokens[k], o, d.m.cfg.SeqLength) {
				still = append(still, t)
			} else if !o.keep {
				d.pages.drop(t.pages)
			}
		}
		open = still
	}
	return nil
}

// take adds a token to the answer, and reports whether more may come.
func (t *turn) take(token Token, o GenerateOptions, most int) bool {
	if slices.Contains(o.Stop, token.ID) {
		t.answer.Finish = FinishStop
		return false
	}
	t.ids = append(t.ids, token.ID)
	t.answer.Tokens = append(t.answer.Tokens, token)
	if o.OnToken != nil {
		o.OnToken(t.prompt, token)
	}
	switch {
	case len(t.answer.Tokens) == o.MaxNew:
		t.answer.Finish = FinishLength
	case t.past == most:
		t.answer.Finish = FinishContext
	default:
		return true
	}
	return false
}
