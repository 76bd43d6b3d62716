package corpus

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestSameSeedSameConversations(t *testing.T) {
	a := Generate(Options{Seed: 7, Conversations: 300})
	if b := Generate(Options{Seed: 7, Conversations: 300}); !reflect.DeepEqual(a, b) {
		t.Fatal("two runs of one seed differ")
	}
	if c := Generate(Options{Seed: 8, Conversations: 300}); reflect.DeepEqual(a, c) {
		t.Fatal("two seeds agree")
	}
}

func TestEveryPlantIsPlanted(t *testing.T) {
	count := map[Plant]int{}
	byKey := map[string]Conversation{}
	for _, c := range Generate(Options{Seed: 1}) {
		count[c.Plant]++
		byKey[c.Key] = c
		text := ""
		for _, m := range c.Messages {
			text += m.Content
		}
		for _, s := range c.Secrets {
			if !strings.Contains(text, s.Value) {
				t.Errorf("%s: the secret %q is not in the text %q", c.Key, s.Value, text)
			}
		}
		if strings.ContainsAny(text, "{}[]|") {
			t.Errorf("%s: a template shows through: %q", c.Key, text)
		}
	}
	for _, p := range Plants() {
		if count[p] == 0 {
			t.Errorf("no conversation has the plant %s", p)
		}
	}
	for key, c := range byKey {
		if c.Of != "" && byKey[c.Of].Plant != Honest {
			t.Errorf("%s copies %s, which is itself planted", key, c.Of)
		}
	}
	if honest := count[Honest]; honest < 700 {
		t.Errorf("only %d of 1200 conversations are honest", honest)
	}
}

// Honest conversations must not look like copies of each other, or the demo
// would lose what it should learn.
func TestHonestConversationsDiffer(t *testing.T) {
	shingles := func(c Conversation) map[string]bool {
		var text []rune
		for _, m := range c.Messages {
			text = append(text, []rune(m.Content)...)
		}
		set := map[string]bool{}
		for i := 0; i+5 <= len(text); i++ {
			set[string(text[i:i+5])] = true
		}
		return set
	}
	var sets []map[string]bool
	for _, c := range Generate(Options{Seed: 1, Conversations: 500}) {
		if c.Plant == Honest {
			sets = append(sets, shingles(c))
		}
	}
	alike := 0
	for i, a := range sets {
		for _, b := range sets[:i] {
			both := 0
			for s := range a {
				if b[s] {
					both++
				}
			}
			if union := len(a) + len(b) - both; union > 0 && float64(both)/float64(union) >= 0.8 {
				alike++
			}
		}
	}
	if alike > len(sets)/100 {
		t.Errorf("%d pairs among %d honest conversations are near-duplicates", alike, len(sets))
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	plan, err := Write(dir, Generate(Options{Seed: 3, Conversations: 800}))
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Broken) == 0 {
		t.Error("no line was broken")
	}
	for _, f := range formats() {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(f.file)))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(data), "\n")
		for _, b := range plan.Broken {
			if b.File != f.file {
				continue
			}
			line := lines[b.Line-1]
			if json.Valid([]byte(line)) || strings.Count(line, ",") == 3 {
				t.Errorf("%s:%d should be broken: %q", b.File, b.Line, line)
			}
		}
	}
}

func TestCheckDigits(t *testing.T) {
	// The worked example of GB 11643-1999, and a card number of ISO/IEC 7812-1.
	if got := residentCheck("11010519491231002"); got != "X" {
		t.Errorf("check character %q, want X", got)
	}
	if got := luhnCheck("7992739871"); got != "3" {
		t.Errorf("check digit %q, want 3", got)
	}
}

func TestGeneralTalksOnAndOn(t *testing.T) {
	seen := map[string]bool{}
	n := 0
	for talk := range General(5) {
		seen[talk[0].Content] = true
		if len(talk)%2 != 0 || talk[0].Role != "user" {
			t.Fatalf("not a conversation: %v", talk)
		}
		if n++; n == 500 {
			break
		}
	}
	if len(seen) < 100 {
		t.Errorf("500 talks open in only %d ways", len(seen))
	}
}
