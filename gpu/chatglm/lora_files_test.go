package chatglm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAdaptersNameTheirLayersInManyWays: paths and patterns that mean the same
// layers make the same adapter, and those that mean others are refused.
func TestAdaptersNameTheirLayersInManyWays(t *testing.T) {
	adapter := filepath.Join(t.TempDir(), "adapter")
	m := tiny(t, newReference(t), func(*Config) {})
	if err := errors.Join(m.AddLoRA(LoRAConfig{Rank: 2}, 1), m.SaveAdapter(adapter, "base")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(adapter, "adapter_config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	from := strings.Index(string(text), `"target_modules": [`)
	to := from + strings.Index(string(text[from:]), "]") + 1
	layer := func(i string) string {
		return `"transformer.encoder.layers.` + i + `.self_attention.query_key_value"`
	}
	for modules, want := range map[string]string{
		`[` + layer("0") + `,` + layer("1") + `]`:      "",
		`".*self_attention\\.query_key_value"`:         "",
		`["self_attention.query_key_value", "q_proj"]`: "",
		`[` + layer("0") + `]`:                         "in 1 of 2 layers",
		`["q_proj", "v_proj"]`:                         "means no linear layer of this model",
		`"all-linear"`:                                 "no such tensor",
		`["query_key_value", "dense"]`:                 "no such tensor",
		`["dense"]`:                                    "no such tensor",
	} {
		changed := string(text[:from]) + `"target_modules": ` + modules + string(text[to:])
		if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		err := m.LoadAdapter(adapter)
		if want == "" {
			if c, ok := m.LoRA(); err != nil || !ok || len(c.Targets) != 1 || c.Targets[0] != "query_key_value" {
				t.Errorf("%s: %+v, %v", modules, c, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", modules, err, want)
		}
	}
}
