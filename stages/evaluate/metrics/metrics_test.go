package metrics_test

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/glmflow/glmflow/stages/evaluate/metrics"
)

// golden is a pair of texts with the tokens of jieba and the scores of NLTK and
// rouge_chinese.
type golden struct {
	Pred       string   `json:"pred"`
	Label      string   `json:"label"`
	PredTokens []string `json:"pred_tokens"`
	LabelToken []string `json:"label_tokens"`
	One        float64  `json:"rouge-1"`
	Two        float64  `json:"rouge-2"`
	L          float64  `json:"rouge-l"`
	BLEU       float64  `json:"bleu-4"`
}

func goldens(t *testing.T) []golden {
	t.Helper()
	raw, err := os.ReadFile("../../../../shared/data/chatglm3/golden_metrics.json")
	if err != nil {
		t.Skip("golden metrics are not here:", err)
	}
	var cases []golden
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("no golden cases")
	}
	return cases
}

func TestGoldenScores(t *testing.T) {
	for _, c := range goldens(t) {
		if got := metrics.BLEU4(c.PredTokens, c.LabelToken); math.Abs(got-c.BLEU) > 1e-12 {
			t.Errorf("%s: BLEU-4 %v, want %v", c.Pred, got, c.BLEU)
		}
		want := metrics.RougeScore{One: c.One, Two: c.Two, L: c.L}
		if diff := cmp.Diff(want, metrics.Rouge(c.PredTokens, c.LabelToken)); diff != "" {
			t.Errorf("%s: ROUGE (-want +got)\n%s", c.Pred, diff)
		}
	}
}

// TestWordsAsJieba holds our words to jieba's on the golden texts.
func TestWordsAsJieba(t *testing.T) {
	if testing.Short() {
		t.Skip("loads a dictionary of 5 MB")
	}
	cases := goldens(t)
	words, err := metrics.NewWords()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		for _, text := range []struct {
			text string
			want []string
		}{{c.Pred, c.PredTokens}, {c.Label, c.LabelToken}} {
			got := words(text.text)
			if strings.Join(got, "") != text.text {
				t.Errorf("words of %q lose text: %q", text.text, got)
			}
			if diff := cmp.Diff(text.want, got); diff != "" {
				t.Errorf("words of %q (-jieba +ours)\n%s", text.text, diff)
			}
		}
	}
}

func TestByHand(t *testing.T) {
	split := strings.Fields
	for _, c := range []struct {
		answer, reference string
		bleu              float64
		rouge             metrics.RougeScore
	}{
		{"", "a b", 0, metrics.RougeScore{}},
		{"a b", "", 0, metrics.RougeScore{}},
		// p = 1, 1, 1/2 (no trigram, k=1), 1/4 (k=2); brevity exp(1−3/2).
		{"a b", "a b c", math.Pow(1.0/8, 0.25) * math.Exp(-0.5), metrics.RougeScore{One: 80, Two: 66.6667, L: 80}},
		// Repetition is clipped: p₁ = 1/4; p₂…p₄ smoothed over 3, 2 and 1.
		{"a a a a", "a b", math.Pow(1.0/4*1/6*1/8*1/8, 0.25), metrics.RougeScore{One: 66.6667, L: 33.3333}},
		{"a b c d", "a b c d", 1, metrics.RougeScore{One: 100, Two: 100, L: 100}},
	} {
		a, r := split(c.answer), split(c.reference)
		if got := metrics.BLEU4(a, r); math.Abs(got-c.bleu) > 1e-12 {
			t.Errorf("BLEU4(%q, %q) = %v, want %v", c.answer, c.reference, got, c.bleu)
		}
		if diff := cmp.Diff(c.rouge, metrics.Rouge(a, r)); diff != "" {
			t.Errorf("Rouge(%q, %q) (-want +got)\n%s", c.answer, c.reference, diff)
		}
	}
}

func TestCharacters(t *testing.T) {
	for text, want := range map[string][]string{
		"":                     nil,
		"  \n":                 nil,
		"你好，world! 3.5kg":      {"你", "好", "，", "world", "!", "3", ".", "5kg"},
		"naïve cafe\u0301 カナ":  {"naïve", "cafe\u0301", "カ", "ナ"},
		"订单#A12，\u3000明天到\xff": {"订", "单", "#", "A12", "，", "明", "天", "到", "\ufffd"},
	} {
		if diff := cmp.Diff(want, metrics.Characters(text)); diff != "" {
			t.Errorf("Characters(%q) (-want +got)\n%s", text, diff)
		}
	}
}

func TestScoresStayInRange(t *testing.T) {
	tokens := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "好", " "}), 0, 12)
	rapid.Check(t, func(t *rapid.T) {
		a, r := tokens.Draw(t, "answer"), tokens.Draw(t, "reference")
		if b := metrics.BLEU4(a, r); !(b >= 0 && b <= 1) {
			t.Fatalf("BLEU %v", b)
		}
		s, back := metrics.Rouge(a, r), metrics.Rouge(r, a)
		for _, v := range []float64{s.One, s.Two, s.L} {
			if !(v >= 0 && v <= 100) {
				t.Fatalf("ROUGE %v", s)
			}
		}
		if s != back {
			t.Fatalf("the F-measure is not symmetric: %v, %v", s, back)
		}
		if self := metrics.Rouge(a, a); self.L != 0 && self.L != 100 {
			t.Fatalf("ROUGE-L with itself %v", self)
		}
	})
}
