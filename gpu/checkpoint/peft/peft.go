package peft

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/glmflow/glmflow/gpu/checkpoint"
	"github.com/glmflow/glmflow/gpu/checkpoint/atomicfile"
	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
)

// Names of the files.
const (
	ConfigFile = "adapter_config.json"
	ModelFile  = "adapter_model.safetensors"
	oldFile    = "adapter_model.bin" // what PEFT before 0.6 wrote; read where there is no other
)

// A Config is adapter_config.json, with the fields that PEFT 0.6 and later
// understand, in their order. Unknown fields would break older readers, so a
// newer one is only written where it matters.
type Config struct {
	AlphaPattern      map[string]any `json:"alpha_pattern"`
	AutoMapping       any            `json:"auto_mapping"`
	BaseModel         string         `json:"base_model_name_or_path"`
	Bias              string         `json:"bias"`
	FanInFanOut       bool           `json:"fan_in_fan_out"`
	InferenceMode     bool           `json:"inference_mode"`
	InitLoraWeights   any            `json:"init_lora_weights"`
	LayersPattern     any            `json:"layers_pattern"`
	LayersToTransform any            `json:"layers_to_transform"`
	LoftqConfig       map[string]any `json:"loftq_config"`
	LoraAlpha         float64        `json:"lora_alpha"`
	LoraDropout       float64        `json:"lora_dropout"`
	MegatronConfig    any            `json:"megatron_config"`
	MegatronCore      string         `json:"megatron_core"`
	ModulesToSave     any            `json:"modules_to_save"`
	PeftType          string         `json:"peft_type"`
	R                 int            `json:"r"`
	RankPattern       map[string]any `json:"rank_pattern"`
	Revision          any            `json:"revision"`
	TargetModules     Targets        `json:"target_modules"`
	TaskType          string         `json:"task_type"`
	RSLoRA            bool           `json:"use_rslora,omitempty"` // the scale is alpha/√r; PEFT 0.7 and later
}

// NewConfig fills in what PEFT writes for a plain LoRA of a causal model.
func NewConfig(base string, r int, alpha, dropout float64, targets []string) Config {
	return Config{
		AlphaPattern: map[string]any{}, BaseModel: base, Bias: "none", InferenceMode: true, InitLoraWeights: true,
		LoftqConfig: map[string]any{}, LoraAlpha: alpha, LoraDropout: dropout, MegatronCore: "megatron.core",
		PeftType: "LORA", R: r, RankPattern: map[string]any{}, TargetModules: Targets{Names: targets}, TaskType: "CAUSAL_LM",
	}
}

// TensorName is PEFT's name of matrix "A" or "B" beside the module at path.
func TensorName(path, matrix string) string {
	return "base_model.model." + path + ".lora_" + matrix + ".weight"
}

// Save writes an adapter to dir, which is created. An adapter that is there stays
// as it is until the new weights are on the disk; then its configuration goes
// before they get their name, and the new one comes after. Whenever that is
// interrupted, no weights are taken for those of another configuration.
func Save(dir string, c Config, tensors []safetensors.Output) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.MkdirAll(dir); err != nil {
		return err
	}
	if err := saveWeights(dir, tensors); err != nil {
		return err
	}
	return atomicfile.WriteBytes(filepath.Join(dir, ConfigFile), append(text, '\n'))
}

// saveWeights replaces the weights in dir and leaves them without a
// configuration.
func saveWeights(dir string, tensors []safetensors.Output) error {
	path := filepath.Join(dir, ModelFile)
	err := atomicfile.Write(path, func(w io.Writer) error {
		if err := safetensors.Write(w, tensors, map[string]string{"format": "pt"}); err != nil {
			return err
		}
		return atomicfile.Remove(filepath.Join(dir, ConfigFile))
	})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Find reports whether dir holds an adapter. Weights without their configuration
// are an error: they are what an interrupted [Save] leaves.
func Find(dir string) (bool, error) {
	for _, name := range []string{ConfigFile, ModelFile, oldFile} {
		_, err := os.Stat(filepath.Join(dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return false, err
		case name == ConfigFile:
			return true, nil
		default:
			return false, fmt.Errorf("%s has %s and no %s: writing the adapter was interrupted; write it again", dir, name, ConfigFile)
		}
	}
	return false, nil
}

// Open reads the configuration of the adapter in dir and opens its weights. The
// caller closes the file.
func Open(dir string) (Config, checkpoint.File, error) {
	c, err := ReadConfig(dir)
	if err != nil {
		return Config{}, nil, err
	}
	path := filepath.Join(dir, ModelFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, oldFile)); err == nil {
			path = filepath.Join(dir, oldFile)
		}
	}
	f, err := checkpoint.Open(path)
	return c, f, err
}
