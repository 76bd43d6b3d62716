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

// TestReplacingIsSafe: an adapter of the same rank and another scale never gets
// the other one's weights, wherever replacing it ends.
func TestReplacingIsSafe(t *testing.T) {
	dir := t.TempDir()
	config := func(alpha float64) Config { return NewConfig("base", 4, alpha, 0, []string{"dense"}) }
	tensors := func(value float32) []safetensors.Output {
		return []safetensors.Output{safetensors.Values("w", []int{1}, []float32{value})}
	}
	holds := func(alpha float64, value float32) {
		t.Helper()
		c, f, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var got [1]float32
		if err := f.Read("w", got[:]); err != nil || c.LoraAlpha != alpha || got[0] != value {
			t.Errorf("alpha %g with weight %g (%v), want %g with %g", c.LoraAlpha, got[0], err, alpha, value)
		}
	}
	if err := Save(dir, config(8), tensors(1)); err != nil {
		t.Fatal(err)
	}
	holds(8, 1)
	broken := tensors(2)
	broken[0].Read = func([]float32) error { return fs.ErrInvalid }
	if err := Save(dir, config(16), broken); !errors.Is(err, fs.ErrInvalid) {
		t.Fatalf("error %v, want the tensor's", err)
	}
	holds(8, 1)
	if err := saveWeights(dir, tensors(2)); err != nil { // and the power fails
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"Find":       func() error { _, err := Find(dir); return err }(),
		"ReadConfig": func() error { _, err := ReadConfig(dir); return err }(),
		"Open":       func() error { _, _, err := Open(dir); return err }(),
	} {
		if err == nil || !strings.Contains(err.Error(), "interrupted; write it again") {
			t.Errorf("%s of a half-replaced adapter: error %v, want a sentence", name, err)
		}
	}
	if err := Save(dir, config(16), tensors(2)); err != nil {
		t.Fatal(err)
	}
	holds(16, 2)
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
