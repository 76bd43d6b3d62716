package chatglm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/glmflow/glmflow/gpu/checkpoint"
	"github.com/glmflow/glmflow/gpu/checkpoint/atomicfile"
	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
	"github.com/glmflow/glmflow/gpu/device"
)

// Config is a ChatGLM3's config.json: the fields that the computation follows.
// Of the others, those that would change it must have the value of every
// ChatGLM3; the rest is written with its original values and not read.
type Config struct {
	NumLayers           int     `json:"num_layers"`            // L
	HiddenSize          int     `json:"hidden_size"`           // H
	FFNHiddenSize       int     `json:"ffn_hidden_size"`       // F
	NumAttentionHeads   int     `json:"num_attention_heads"`   // A, query heads
	KVChannels          int     `json:"kv_channels"`           // D, width of a head
	MultiQueryAttention bool    `json:"multi_query_attention"` // false: as many key/value heads as query heads
	MultiQueryGroupNum  int     `json:"multi_query_group_num"` // G, key/value heads
	PaddedVocabSize     int     `json:"padded_vocab_size"`     // V, rows of the embedding
	SeqLength           int     `json:"seq_length"`            // positions the model was trained for; Generate stops there, longer sequences are computed
	LayerNormEpsilon    float64 `json:"layernorm_epsilon"`     // of RMSNorm, under the root
	AddQKVBias          bool    `json:"add_qkv_bias"`          // the only bias in the network
	RopeRatio           float64 `json:"rope_ratio,omitempty"`  // the rotary base is 10000 times this; 0 means 1
}

// maxSize is the largest that any field may be: eight times the longest context
// of a published ChatGLM3, and small enough that no product overflows.
const maxSize = 1 << 20

// maxLayers bounds the list of weights that a configuration asks for.
const maxLayers = 1 << 12

// Validate reports every field that makes no sense.
func (c Config) Validate() error {
	var errs []error
	positive := func(name string, v int) {
		if v < 1 || v > maxSize {
			errs = append(errs, fmt.Errorf("%s is %d: want 1 to %d", name, v, maxSize))
		}
	}
	positive("num_layers", c.NumLayers)
	if c.NumLayers > maxLayers {
		errs = append(errs, fmt.Errorf("num_layers is %d: want at most %d", c.NumLayers, maxLayers))
	}
	positive("hidden_size", c.HiddenSize)
	positive("ffn_hidden_size", c.FFNHiddenSize)
	positive("num_attention_heads", c.NumAttentionHeads)
	positive("kv_channels", c.KVChannels)
	positive("padded_vocab_size", c.PaddedVocabSize)
	positive("seq_length", c.SeqLength)
	if c.MultiQueryAttention {
		positive("multi_query_group_num", c.MultiQueryGroupNum)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if c.projection() > maxSize {
		errs = append(errs, fmt.Errorf("num_attention_heads %d × kv_channels %d: want at most %d", c.NumAttentionHeads, c.KVChannels, maxSize))
	}
	if c.NumAttentionHeads%c.groups() != 0 {
		errs = append(errs, fmt.Errorf("num_attention_heads %d is no multiple of multi_query_group_num %d", c.NumAttentionHeads, c.groups()))
	}
	if c.KVChannels%4 != 0 {
		errs = append(errs, fmt.Errorf("kv_channels is %d: half of it is rotated in pairs, so it must be a multiple of 4", c.KVChannels))
	}
	if !(c.LayerNormEpsilon > 0 && c.LayerNormEpsilon < 1) {
		errs = append(errs, fmt.Errorf("layernorm_epsilon is %g: want between 0 and 1", c.LayerNormEpsilon))
	}
	if c.RopeRatio != 0 && !(c.RopeRatio >= 1 && c.RopeRatio <= maxSize) {
		errs = append(errs, fmt.Errorf("rope_ratio is %g: want 0 (that is 1) or 1 to %d", c.RopeRatio, maxSize))
	}
	return errors.Join(errs...)
}

func (c Config) groups() int {
	if c.MultiQueryAttention {
		return c.MultiQueryGroupNum
	}
	return c.NumAttentionHeads
}

// heads is the shape of attention. Half of every head is rotated.
func (c Config) heads() device.Heads {
	ratio := c.RopeRatio
	if ratio == 0 {
		ratio = 1
	}
	return device.Heads{A: c.NumAttentionHeads, G: c.groups(), D: c.KVChannels, Rotary: c.KVChannels / 2, Base: 10000 * ratio}
}

// projection is the width of all query heads together.
func (c Config) projection() int { return c.NumAttentionHeads * c.KVChannels }

const configFile = "config.json"

// maxConfig bounds config.json, a file of about a kilobyte.
const maxConfig = 1 << 20

// ReadConfig reads config.json in dir. Keys that are missing get the defaults
// of the original configuration class, which differ from the 6B model's file.
func ReadConfig(dir string) (Config, error) {
	path := filepath.Join(dir, configFile)
	f, err := openConfig(dir)
	if err != nil {
		return Config{}, err
	}
	defer f.Close()
	file := struct {
		Config
		fixed
	}{Config: Config{
		NumLayers: 28, HiddenSize: 4096, FFNHiddenSize: 13696, NumAttentionHeads: 32, KVChannels: 128,
		MultiQueryGroupNum: 1, PaddedVocabSize: 65024, SeqLength: 2048, LayerNormEpsilon: 1e-5,
	}}
	if err := json.NewDecoder(io.LimitReader(f, maxConfig)).Decode(&file); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	if err := file.fixed.check(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	if err := file.Config.Validate(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return file.Config, nil
}

// openConfig opens config.json in dir; weights without one are what an interrupted
// save leaves.
func openConfig(dir string) (*os.File, error) {
	f, err := os.Open(filepath.Join(dir, configFile))
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if files, _ := checkpoint.Files(dir); len(files) > 0 {
		return nil, fmt.Errorf("%s has %s and no %s: writing it was interrupted, or it is neither a model nor a prefix", dir, files[0], configFile)
	}
	return nil, err
}

// save writes weights and config.json into dir, which is created. The
// configuration of an earlier model goes before its weights are touched and the
// new one comes last, so that no weights are read by one that is not theirs.
func (c Config) save(dir string, weights []safetensors.Output, further map[string]any) error {
	if err := atomicfile.MkdirAll(dir); err != nil {
		return err
	}
	if err := atomicfile.Remove(filepath.Join(dir, configFile)); err != nil {
		return err
	}
	if err := safetensors.CreateDir(dir, weights); err != nil {
		return err
	}
	return c.write(dir, further)
}

// write puts config.json into dir, with every field that other loaders of
// ChatGLM3 look for, and further ones.
func (c Config) write(dir string, further map[string]any) error {
	file := map[string]any{
		"model_type": "chatglm", "architectures": []string{"ChatGLMModel"},
		"_name_or_path": "THUDM/chatglm3-6b", // by this name llama.cpp's converter chooses ChatGLM3's vocabulary
		"auto_map": map[string]string{
			"AutoConfig":            "configuration_chatglm.ChatGLMConfig",
			"AutoModel":             "modeling_chatglm.ChatGLMForConditionalGeneration",
			"AutoModelForCausalLM":  "modeling_chatglm.ChatGLMForConditionalGeneration",
			"AutoModelForSeq2SeqLM": "modeling_chatglm.ChatGLMForConditionalGeneration",
		},
		"num_layers": c.NumLayers, "hidden_size": c.HiddenSize, "ffn_hidden_size": c.FFNHiddenSize,
		"num_attention_heads": c.NumAttentionHeads, "kv_channels": c.KVChannels,
		"multi_query_attention": c.MultiQueryAttention, "multi_query_group_num": c.MultiQueryGroupNum,
		"padded_vocab_size": c.PaddedVocabSize, "vocab_size": c.PaddedVocabSize, "seq_length": c.SeqLength,
		"layernorm_epsilon": c.LayerNormEpsilon, "add_qkv_bias": c.AddQKVBias,
		"rmsnorm": true, "post_layer_norm": true, "add_bias_linear": false,
		"apply_residual_connection_post_layernorm": false, "fp32_residual_connection": false,
		"attention_softmax_in_fp32": true, "apply_query_key_layer_scaling": true,
		"attention_dropout": 0.0, "hidden_dropout": 0.0, "bias_dropout_fusion": true,
		"original_rope": true, "tie_word_embeddings": false, "torch_dtype": "float32",
		"use_cache": true, "eos_token_id": 2, "pad_token_id": 0, "transformers_version": "4.30.2",
	}
	if c.RopeRatio != 0 {
		file["rope_ratio"] = c.RopeRatio
	}
	maps.Copy(file, further)
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(filepath.Join(dir, configFile), append(text, '\n'))
}
