package schemas_test

import (
	"testing"

	"github.com/glmflow/glmflow/schemas"
)

func TestContentID(t *testing.T) {
	yes := true
	base := schemas.Dialogue{Turns: []schemas.Turn{{Role: "user", Content: "ab"}, {Role: "assistant", Content: "c"}}}
	same := schemas.Dialogue{
		ID: "x", Lang: "zh", Origin: schemas.Origin{File: "f", Line: 3}, Edits: []string{"pii"},
		Turns: []schemas.Turn{{Role: "user", Content: "ab", Time: 5}, {Role: "assistant", Content: "c", Train: &yes}},
	}
	if same.ContentID() != base.ContentID() {
		t.Error("the id depends on more than what was said")
	}
	for name, other := range map[string]schemas.Dialogue{
		"content moved between turns": {Turns: []schemas.Turn{{Role: "user", Content: "a"}, {Role: "assistant", Content: "bc"}}},
		"role":                        {Turns: []schemas.Turn{{Role: "system", Content: "ab"}, {Role: "assistant", Content: "c"}}},
		"name":                        {Turns: []schemas.Turn{{Role: "user", Content: "ab"}, {Role: "assistant", Name: "tool", Content: "c"}}},
		"tools":                       {Turns: base.Turns, Tools: "[]"},
		"fewer turns":                 {Turns: base.Turns[:1]},
	} {
		if other.ContentID() == base.ContentID() {
			t.Errorf("%s: same id", name)
		}
	}
	// Ids are written into windows and manifests: they may never change.
	const want = "d214f7da11adc1a339b43ab6782535a9211e23910216dece0a2231bc685a1a20"
	if got := base.ContentID(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
