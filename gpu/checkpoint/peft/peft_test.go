package peft

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
)

// TestFieldsOfAnOfficialAdapter: we write the fields that PEFT wrote for an
// official ChatGLM3 adapter, no fewer and no more.
func TestFieldsOfAnOfficialAdapter(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "shared", "data", "chatglm3", "official_lora_adapter_config.json"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("no ../shared/data/chatglm3/official_lora_adapter_config.json")
	}
	if err != nil {
		t.Fatal(err)
	}
	var official, ours map[string]any
	if err := json.Unmarshal(text, &official); err != nil {
		t.Fatal(err)
	}
	written, err := json.Marshal(NewConfig(official["base_model_name_or_path"].(string), 8, 32, 0.1, []string{"query_key_value"}))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(written, &ours); err != nil {
		t.Fatal(err)
	}
	for name := range official {
		if _, ok := ours[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	for name, v := range ours {
		if o, ok := official[name]; !ok {
			t.Errorf("%s is not in the official file", name)
		} else if a, b := marshal(t, v), marshal(t, o); !bytes.Equal(a, b) {
			t.Errorf("%s is %s, officially %s", name, a, b)
		}
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSaveAndOpen(t *testing.T) {
	dir := t.TempDir()
	c := NewConfig("base", 4, 8, 0.05, []string{"dense"})
	name := TensorName("transformer.encoder.layers.0.self_attention.dense", "A")
	if err := Save(dir, c, []safetensors.Output{safetensors.Values(name, []int{1, 2}, []float32{3, 4})}); err != nil {
		t.Fatal(err)
	}
	got, f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got.R != 4 || got.LoraAlpha != 8 || got.TargetModules[0] != "dense" {
		t.Errorf("%+v", got)
	}
	var values [2]float32
	if err := f.Read(name, values[:]); err != nil || values != [2]float32{3, 4} {
		t.Errorf("%v, %v", values, err)
	}
}

func TestUnsupportedAdapters(t *testing.T) {
	for change, want := range map[string]string{
		`"peft_type":"PREFIX_TUNING"`: "peft_type",
		`"r":0`:                       "r is 0",
		`"bias":"all"`:                "bias",
		`"modules_to_save":["x"]`:     "modules_to_save",
		`"fan_in_fan_out":true`:       "fan_in_fan_out",
		`"layers_to_transform":[0]`:   "layers_to_transform",
		`"use_dora":true`:             "use_dora",
		`"target_modules":[]`:         "target_modules",
		`"lora_alpha":0`:              "lora_alpha",
		`"lora_alpha":1e300`:          "lora_alpha",
		`"init_lora_weights":"pissa"`: "init_lora_weights",
	} {
		dir := t.TempDir()
		text := `{"peft_type":"LORA","r":8,"lora_alpha":32,"bias":"none","target_modules":["query_key_value"],` + change + `}`
		if err := os.WriteFile(filepath.Join(dir, ConfigFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadConfig(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", change, err, want)
		}
	}
}
