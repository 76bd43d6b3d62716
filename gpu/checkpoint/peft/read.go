package peft

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxConfig bounds adapter_config.json, a file of less than a kilobyte.
const maxConfig = 1 << 20

// ReadConfig reads the configuration of the adapter in dir and refuses what is
// not a plain LoRA: of the keys that it does not know, those that say anything.
func ReadConfig(dir string) (Config, error) {
	if _, err := Find(dir); err != nil {
		return Config{}, err
	}
	f, err := os.Open(filepath.Join(dir, ConfigFile))
	if err != nil {
		return Config{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig))
	if err != nil {
		return Config{}, err
	}
	c, err := parse(text)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return c, nil
}

func parse(text []byte) (c Config, err error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(text, &keys); err != nil {
		return c, err
	}
	// What else c has no place for may be of any type.
	if err := json.Unmarshal(text, &c); err != nil {
		return c, err
	}
	if err := c.supported(); err != nil {
		return c, err
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if value := keys[key]; !slices.Contains(understood(), key) && !saysNothing(value) {
			return c, fmt.Errorf("%s is %s: only plain LoRA is supported, and this may change what the adapter computes", key, short(value))
		}
	}
	return c, nil
}

// understood lists the keys whose value this package follows or checks, and those
// that change no number of a loaded adapter: names, notes, and settings of ways to
// train or to begin that other keys choose.
func understood() []string {
	return []string{
		"alpha_pattern", "bias", "fan_in_fan_out", "init_lora_weights", "lora_alpha", "lora_dropout", "peft_type", "r", "rank_pattern", "target_modules", "use_rslora",

		"auto_mapping", "base_model_name_or_path", "corda_config", "eva_config", "inference_mode", "layers_pattern", "loftq_config", "megatron_core",
		"peft_version", "qalora_group_size", "revision", "runtime_config", "task_type",
	}
}

// supported reports what a plain LoRA cannot express.
func (c Config) supported() error {
	switch {
	case c.PeftType != "LORA":
		return fmt.Errorf("peft_type is %q: only \"LORA\" is supported", c.PeftType)
	case c.R < 1 || c.R > 4096:
		return fmt.Errorf("r is %d: want 1 to 4096", c.R)
	case !(c.LoraAlpha > 0 && c.LoraAlpha <= math.MaxFloat32):
		return fmt.Errorf("lora_alpha is %g: want a number above 0", c.LoraAlpha)
	case c.InitLoraWeights != nil && c.InitLoraWeights != true && c.InitLoraWeights != false && c.InitLoraWeights != "gaussian":
		return fmt.Errorf("init_lora_weights is %v: its adapters may belong to a changed base model; convert them to plain LoRA first", c.InitLoraWeights)
	case c.Bias != "" && c.Bias != "none":
		return fmt.Errorf("bias is %q: only \"none\" is supported", c.Bias)
	case c.FanInFanOut:
		return fmt.Errorf("fan_in_fan_out is set: ChatGLM3 has no such layer")
	case len(c.TargetModules.Names) == 0 && c.TargetModules.Pattern == "":
		return fmt.Errorf("target_modules is empty: it has to name the layers that the adapter stands beside")
	}
	for key, v := range c.RankPattern {
		if v != float64(c.R) {
			return fmt.Errorf("rank_pattern gives %s the rank %v, r is %d: only one rank for all layers is supported", key, v, c.R)
		}
	}
	for key, v := range c.AlphaPattern {
		if v != c.LoraAlpha {
			return fmt.Errorf("alpha_pattern gives %s the alpha %v, lora_alpha is %g: only one for all layers is supported", key, v, c.LoraAlpha)
		}
	}
	return c.TargetModules.check()
}

// saysNothing reports whether a value is null, false or empty, as PEFT writes what
// is not used.
func saysNothing(value json.RawMessage) bool {
	var compact bytes.Buffer
	if err := json.Compact(&compact, value); err != nil {
		return false
	}
	return slices.Contains([]string{"null", "false", `""`, "[]", "{}"}, compact.String())
}

// short is a value for a message.
func short(value json.RawMessage) string {
	const most = 60
	text := strings.Join(strings.Fields(string(value)), " ")
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
