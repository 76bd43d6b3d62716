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
	if got.R != 4 || got.LoraAlpha != 8 || got.TargetModules.Names[0] != "dense" {
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

// written puts an adapter_config.json with a change into a directory. Of keys that
// stand twice, the last counts.
func written(t *testing.T, change string) string {
	t.Helper()
	dir := t.TempDir()
	text := `{"peft_type":"LORA","r":8,"lora_alpha":32,"bias":"none","target_modules":["query_key_value"],` + change + `}`
	if err := os.WriteFile(filepath.Join(dir, ConfigFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestUnsupportedAdapters: whatever may change the numbers is refused by name, a
// key that nobody knows yet included.
func TestUnsupportedAdapters(t *testing.T) {
	for change, want := range map[string]string{
		`"peft_type":"PREFIX_TUNING"`:                           "peft_type",
		`"r":0`:                                                 "r is 0",
		`"bias":"all"`:                                          "bias",
		`"lora_bias":true`:                                      "lora_bias is true",
		`"modules_to_save":["x"]`:                               `modules_to_save is ["x"]`,
		`"fan_in_fan_out":true`:                                 "fan_in_fan_out",
		`"layers_to_transform":[0]`:                             "layers_to_transform is [0]",
		`"layers_to_transform":0`:                               "layers_to_transform is 0",
		`"layer_replication":[[0,4],[2,5]]`:                     "layer_replication is [[0,4],[2,5]]",
		`"use_dora":true`:                                       "use_dora is true",
		`"use_qalora":true`:                                     "use_qalora is true",
		`"exclude_modules":"dense"`:                             "exclude_modules",
		`"target_parameters":["w"]`:                             "target_parameters",
		`"trainable_token_indices":{"embed":[1]}`:               "trainable_token_indices",
		`"megatron_config":{"a":1}`:                             "megatron_config",
		`"alora_invocation_tokens":[1]`:                         "alora_invocation_tokens",
		`"arrow_config":{"top_k":3}`:                            "arrow_config",
		`"a_key_of_tomorrow":"` + strings.Repeat("x", 99) + `"`: `a_key_of_tomorrow is "xxx`,
		`"target_modules":[]`:                                   "target_modules is empty",
		`"target_modules":null`:                                 "target_modules is empty",
		`"target_modules":7`:                                    "target_modules",
		`"target_modules":".*(?!dense)"`:                        "write the names of the modules as a list",
		`"rank_pattern":{"dense":8,"dense_4h_to_h":4}`:          "rank_pattern gives dense_4h_to_h the rank 4, r is 8",
		`"alpha_pattern":{"dense":16}`:                          "alpha_pattern gives dense the alpha 16, lora_alpha is 32",
		`"lora_alpha":0`:                                        "lora_alpha",
		`"lora_alpha":1e300`:                                    "lora_alpha",
		`"init_lora_weights":"pissa"`:                           "init_lora_weights",
		`"init_lora_weights":"pissa_niter_4"`:                   "init_lora_weights",
		`"init_lora_weights":"olora"`:                           "init_lora_weights",
		`"init_lora_weights":"loftq"`:                           "init_lora_weights",
		`"init_lora_weights":"corda"`:                           "init_lora_weights",
		`"init_lora_weights":"eva"`:                             "init_lora_weights",
	} {
		if _, err := ReadConfig(written(t, change)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", change, err, want)
		}
	}
}

// TestPlainAdaptersInOtherWords: what says nothing, or the same, changes nothing.
func TestPlainAdaptersInOtherWords(t *testing.T) {
	for _, change := range []string{
		`"modules_to_save":[],"layers_to_transform":[],"exclude_modules":null,"layer_replication":null,"use_dora":false,"lora_bias":false`,
		`"rank_pattern":{"dense":8},"alpha_pattern":{"dense":32}`,
		`"peft_version":"0.17.1","qalora_group_size":16,"use_qalora":false,"runtime_config":{"ephemeral_gpu_offload":false}`,
		`"eva_config":null,"corda_config":null,"trainable_token_indices":null,"target_parameters":[],"a_key_of_tomorrow":{ }`,
		`"init_lora_weights":"gaussian","loftq_config":{},"layers_pattern":"layers","megatron_core":"megatron.core","task_type":null`,
		`"target_modules":["query_key_value"]`,
	} {
		c, err := ReadConfig(written(t, change))
		if err != nil || c.R != 8 || c.LoraAlpha != 32 || !c.TargetModules.Match("transformer.encoder.layers.3.self_attention.query_key_value") {
			t.Errorf("%s: %+v, %v", change, c, err)
		}
	}
}

// TestTargets follows PEFT's rules for names, paths and patterns.
func TestTargets(t *testing.T) {
	const qkv, dense, up = "layers.1.self_attention.query_key_value", "layers.1.self_attention.dense", "layers.1.mlp.dense_h_to_4h"
	for text, want := range map[string][3]bool{
		`["query_key_value"]`:                    {true, false, false},
		`["dense"]`:                              {false, true, false},
		`["self_attention.dense"]`:               {false, true, false},
		`["layers.1.self_attention.dense"]`:      {false, true, false},
		`["attention.dense"]`:                    {},
		`["layers.2.self_attention.dense", "x"]`: {},
		`"dense"`:                                {},
		`".*dense"`:                              {false, true, false},
		`".*\\.(dense|query_key_value)"`:         {true, true, false},
		`".*dense.*"`:                            {false, true, true},
		`"layers|.*mlp.*"`:                       {false, false, true},
		`"all-linear"`:                           {true, true, true},
		`"All-Linear"`:                           {true, true, true},
	} {
		var targets Targets
		if err := json.Unmarshal([]byte(text), &targets); err != nil {
			t.Fatal(err)
		}
		if got := [3]bool{targets.Match(qkv), targets.Match(dense), targets.Match(up)}; got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
		if again := marshal(t, targets); string(again) != strings.ReplaceAll(text, ", ", ",") {
			t.Errorf("%s is written as %s", text, again)
		}
	}
}
