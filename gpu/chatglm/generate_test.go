package chatglm

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/gpu/device"
)

// prompts are random ones of the given lengths.
func prompts(lengths ...int) [][]int32 {
	r := rand.New(rand.NewPCG(8, 9))
	var out [][]int32
	for _, n := range lengths {
		out = append(out, randomSequence(r, n, 300).IDs)
	}
	return out
}

func generate(t *testing.T, m *Model, prompts [][]int32, o GenerateOptions) []Answer {
	t.Helper()
	answers, err := m.Generate(t.Context(), prompts, o)
	if err != nil {
		t.Fatal(err)
	}
	return answers
}

// TestGenerateAgreesWithFullPasses: the cache gives the tokens and the
// log-probabilities that computing everything anew gives, for prompts of mixed
// length, one of them longer than a pass, and while the cache grows.
func TestGenerateAgreesWithFullPasses(t *testing.T) {
	devices(t, func(t *testing.T, dev device.Device) {
		m := tiny(t, dev, func(c *Config) { c.SeqLength = 2 * passTokens })
		asked := prompts(3, 60, 1, passTokens+5)
		answers := generate(t, m, asked, GenerateOptions{MaxNew: 12, TopLogprobs: 3})
		for i, p := range asked {
			all := slices.Concat(p, answers[i].IDs())
			logits, err := m.Logits(Pack([]Sequence{{IDs: all}}))
			if err != nil {
				t.Fatal(err)
			}
			v := m.cfg.PaddedVocabSize
			for k, token := range answers[i].Tokens {
				scores := logits[(len(p)+k-1)*v : (len(p)+k)*v]
				lse := logSumExp(scores)
				want := likeliest(scores, 3)
				if token.ID != want[0] {
					t.Fatalf("prompt %d, token %d is %d, computed anew %d", i, k, token.ID, want[0])
				}
				for n, a := range token.Top {
					if math.Abs(a.Logprob-(float64(scores[want[n]])-lse)) > 1e-4 || a.ID != want[n] {
						t.Errorf("prompt %d, token %d, alternative %d: %+v, computed anew %+v − %g", i, k, n, a, want[n], lse)
					}
				}
				if math.Abs(token.Logprob-token.Top[0].Logprob) > 1e-5 {
					t.Errorf("the likeliest token has %g and %g", token.Logprob, token.Top[0].Logprob)
				}
			}
			if answers[i].Finish != FinishLength || len(answers[i].Tokens) != 12 {
				t.Errorf("prompt %d: %d tokens, %s", i, len(answers[i].Tokens), answers[i].Finish)
			}
		}
	})
}

// likeliest are the n tokens of the highest scores.
func likeliest(scores []float32, n int) []int32 {
	ids := make([]int32, len(scores))
	for i := range ids {
		ids[i] = int32(i)
	}
	slices.SortStableFunc(ids, func(a, b int32) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return 0
	})
	return ids[:n]
}

// logSumExp is log Σ exp, in nats.
func logSumExp(scores []float32) float64 {
	sum := 0.0
	for _, v := range scores {
		sum += math.Exp(float64(v))
	}
	return math.Log(sum)
}

// TestGenerateEnds: at a stop id, which is no part of the answer, after MaxNew
// tokens, and where the model's positions end.
func TestGenerateEnds(t *testing.T) {
	m := tiny(t, newReference(t), func(c *Config) { c.SeqLength = 20 })
	asked := prompts(3, 15)
	whole := generate(t, m, asked, GenerateOptions{MaxNew: 12})
	if len(whole[0].Tokens) != 12 || whole[0].Finish != FinishLength {
		t.Errorf("%d tokens, %s", len(whole[0].Tokens), whole[0].Finish)
	}
	// The last position gives one more token.
	if len(whole[1].Tokens) != 6 || whole[1].Finish != FinishContext {
		t.Errorf("%d tokens, %s", len(whole[1].Tokens), whole[1].Finish)
	}
	all := whole[0].IDs()
	stop := all[4]
	var heard []int32
	short := generate(t, m, asked[:1], GenerateOptions{MaxNew: 12, Stop: []int32{stop}, OnToken: func(i int, token Token) { heard = append(heard, token.ID) }})
	if want := all[:slices.Index(all, stop)]; !slices.Equal(short[0].IDs(), want) || !slices.Equal(heard, want) || short[0].Finish != FinishStop {
		t.Errorf("with stop id %d: %v, heard %v, want %v", stop, short[0], heard, want)
	}
}

// TestSamplingIgnoresTheBatch: seed and prompt decide an answer.
func TestSamplingIgnoresTheBatch(t *testing.T) {
	devices(t, func(t *testing.T, dev device.Device) {
		m := tiny(t, dev, nil)
		asked := prompts(3, 40, 1, 9)
		for _, o := range []GenerateOptions{
			{MaxNew: 20, Temperature: 1.5, Seed: 3},
			{MaxNew: 20, Temperature: 0.8, TopK: 50, TopP: 0.8, RepetitionPenalty: 1.1, Seed: 4},
		} {
			together := generate(t, m, asked, o)
			for i, p := range asked {
				if diff := cmp.Diff(generate(t, m, [][]int32{p}, o)[0].IDs(), together[i].IDs()); diff != "" {
					t.Errorf("prompt %d (-alone +together):\n%s", i, diff)
				}
			}
			o.Seed++
			if cmp.Equal(generate(t, m, asked[:1], o)[0].IDs(), together[0].IDs()) {
				t.Error("another seed gave the same answer")
			}
		}
	})
}

// TestSessionAgreesWithGenerate: turns of a conversation, a prompt that leaves
// it half-way, one that repeats it, and an unrelated one get the answers that
// they get without a cache; on a model with a prefix, too.
func TestSessionAgreesWithGenerate(t *testing.T) {
	devices(t, func(t *testing.T, dev device.Device) {
		sessionAgrees(t, tiny(t, dev, nil))
		m := tiny(t, dev, nil)
		if err := m.AddPrefix(PrefixConfig{Tokens: 5}, 1); err != nil {
			t.Fatal(err)
		}
		sessionAgrees(t, m)
	})
}

func sessionAgrees(t *testing.T, m *Model) {
	t.Helper()
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	o := GenerateOptions{MaxNew: 30, Temperature: 1, Seed: 5, Logprobs: true}
	ask := func(prompt []int32, reused int) []int32 {
		t.Helper()
		got, err := s.Generate(t.Context(), prompt, o)
		if err != nil {
			t.Fatal(err)
		}
		want := generate(t, m, [][]int32{prompt}, o)[0]
		if got.Reused != reused {
			t.Errorf("%d tokens were reused, want %d", got.Reused, reused)
		}
		if diff := cmp.Diff(want.IDs(), got.IDs()); diff != "" {
			t.Errorf("-anew +reused:\n%s", diff)
		}
		for i := range min(len(want.Tokens), len(got.Tokens)) {
			if a, b := want.Tokens[i].Logprob, got.Tokens[i].Logprob; math.Abs(a-b) > 1e-5 || m.dev.Info().Backend == "reference" && a != b {
				t.Errorf("token %d: log-probability %g anew, %g reused", i, a, b)
			}
		}
		return slices.Concat(prompt, got.IDs())
	}
	p := prompts(9, 5, 70)
	first := ask(p[0], 0)
	// The answer's last token was chosen and never computed.
	second := ask(slices.Concat(first, p[1]), len(first)-1)
	ask(slices.Concat(first, p[2]), len(first))
	ask(first, len(first)-1)
	ask(p[2], 0)
	s.Reset()
	ask(p[2], 0)
	ask(second, 0)
}

// TestSessionSurvivesInterruption: what was computed before is of use after.
func TestSessionSurvivesInterruption(t *testing.T) {
	m := tiny(t, newReference(t), nil)
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	p := prompts(9)[0]
	cut, err := s.Generate(ctx, p, GenerateOptions{OnToken: func(_ int, token Token) { cancel() }})
	if !errors.Is(err, context.Canceled) || len(cut.Tokens) != 1 || cut.Finish != "" {
		t.Fatalf("%+v, %v", cut, err)
	}
	whole, err := s.Generate(t.Context(), p, GenerateOptions{MaxNew: 5})
	if err != nil || whole.Reused != len(p)-1 {
		t.Fatalf("reused %d: %v", whole.Reused, err)
	}
	if want := generate(t, m, [][]int32{p}, GenerateOptions{MaxNew: 5})[0]; !slices.Equal(want.IDs(), whole.IDs()) {
		t.Errorf("%v, want %v", whole.IDs(), want.IDs())
	}
}

func TestBadPromptsAndOptions(t *testing.T) {
	m := tiny(t, newReference(t), nil)
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		prompt  []int32
		options GenerateOptions
	}{
		"empty prompt":          {},
		"long prompt":           {prompt: make([]int32, 513)},
		"id outside":            {prompt: []int32{320}},
		"negative id":           {prompt: []int32{-1}},
		"negative length":       {[]int32{1}, GenerateOptions{MaxNew: -1}},
		"negative temperature":  {[]int32{1}, GenerateOptions{Temperature: -1}},
		"no temperature":        {[]int32{1}, GenerateOptions{Temperature: nan}},
		"top-p above 1":         {[]int32{1}, GenerateOptions{TopP: 1.1}},
		"no top-p":              {[]int32{1}, GenerateOptions{TopP: nan}},
		"negative top-k":        {[]int32{1}, GenerateOptions{TopK: -1}},
		"negative penalty":      {[]int32{1}, GenerateOptions{RepetitionPenalty: -1}},
		"negative alternatives": {[]int32{1}, GenerateOptions{TopLogprobs: -1}},
	} {
		if _, err := m.Generate(t.Context(), [][]int32{c.prompt}, c.options); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
