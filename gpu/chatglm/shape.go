package chatglm

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Shape is the configuration of a named shape: "tiny" for tests, "demo" for a
// model that a laptop trains in a minute, "small" and "1b" for benchmarks,
// "chatglm3-6b" for the real one.
func Shape(name string) (Config, bool) {
	c := Config{MultiQueryAttention: true, MultiQueryGroupNum: 2, LayerNormEpsilon: 1e-5, AddQKVBias: true}
	switch name {
	case "tiny":
		c.NumLayers, c.HiddenSize, c.FFNHiddenSize, c.NumAttentionHeads, c.KVChannels = 2, 32, 48, 4, 8
		c.PaddedVocabSize, c.SeqLength = 320, 512
	case "demo":
		c.NumLayers, c.HiddenSize, c.FFNHiddenSize, c.NumAttentionHeads, c.KVChannels = 4, 256, 688, 4, 64
		c.PaddedVocabSize, c.SeqLength = 3072, 2048
	case "small":
		c.NumLayers, c.HiddenSize, c.FFNHiddenSize, c.NumAttentionHeads, c.KVChannels = 6, 384, 1024, 6, 64
		c.PaddedVocabSize, c.SeqLength = 8192, 2048
	case "1b":
		c.NumLayers, c.HiddenSize, c.FFNHiddenSize, c.NumAttentionHeads, c.KVChannels = 24, 2048, 5632, 16, 128
		c.PaddedVocabSize, c.SeqLength = 32000, 8192
	case "chatglm3-6b":
		c.NumLayers, c.HiddenSize, c.FFNHiddenSize, c.NumAttentionHeads, c.KVChannels = 28, 4096, 13696, 32, 128
		c.PaddedVocabSize, c.SeqLength = 65024, 8192
	default:
		return Config{}, false
	}
	return c, true
}

// Shapes lists the names that [Shape] knows.
func Shapes() []string { return []string{"tiny", "demo", "small", "1b", "chatglm3-6b"} }

// ParseShape reads a shape written as a name and, after commas, fields of
// config.json that differ from it: "tiny,num_layers=3,rope_ratio=50".
func ParseShape(text string) (Config, error) {
	name, rest, _ := strings.Cut(text, ",")
	c, ok := Shape(name)
	if !ok {
		return Config{}, fmt.Errorf("shape %q: want %s", name, strings.Join(Shapes(), ", "))
	}
	for rest != "" {
		var change string
		change, rest, _ = strings.Cut(rest, ",")
		field, value, _ := strings.Cut(change, "=")
		d := json.NewDecoder(strings.NewReader(fmt.Sprintf("{%q:%s}", field, value)))
		d.DisallowUnknownFields()
		if err := d.Decode(&c); err != nil {
			return Config{}, fmt.Errorf("shape %q: %q: want a field of config.json and its value, like num_layers=3", text, change)
		}
	}
	if err := c.Validate(); err != nil {
		return Config{}, fmt.Errorf("shape %q: %w", text, err)
	}
	return c, nil
}

// Info is what [Describe] counts.
type Info struct {
	Parameters int64 // of the base model
	Bytes      int64 // in float32
	Trainable  int64 // of LoRA adapters, if asked for
}

// Describe counts the parameters of a model of shape c without making it, and
// those of LoRA adapters on it if lora is not nil.
func Describe(c Config, lora *LoRAConfig) (Info, error) {
	if err := c.Validate(); err != nil {
		return Info{}, err
	}
	var adapters LoRAConfig
	if lora != nil {
		var err error
		if adapters, err = lora.withDefaults(); err != nil {
			return Info{}, err
		}
	}
	var info Info
	for _, s := range c.specs() {
		info.Parameters += int64(s.len())
		for _, t := range targets() {
			if slices.Contains(adapters.Targets, t.name) && strings.HasSuffix(s.name, t.module+".weight") {
				info.Trainable += int64(adapters.Rank) * int64(s.shape[0]+s.shape[1])
			}
		}
	}
	info.Bytes = 4 * info.Parameters
	return info, nil
}
