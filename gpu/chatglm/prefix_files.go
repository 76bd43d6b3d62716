package chatglm

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/glmflow/glmflow/gpu/checkpoint"
)

// officialDropout is that of the original prefix encoder, which no file says.
const officialDropout = 0.1

// ReadPrefixConfig reads what config.json in dir says of a prefix, in the keys
// of the original project; ok is false when it says nothing of one.
func ReadPrefixConfig(dir string) (c PrefixConfig, ok bool, err error) {
	path := filepath.Join(dir, configFile)
	f, err := openConfig(dir)
	if err != nil {
		return c, false, err
	}
	defer f.Close()
	var file struct {
		Tokens     *int `json:"pre_seq_len"`
		Projection bool `json:"prefix_projection"`
	}
	if err := json.NewDecoder(io.LimitReader(f, maxConfig)).Decode(&file); err != nil {
		return c, false, fmt.Errorf("%s: %w", path, err)
	}
	if file.Tokens == nil || *file.Tokens == 0 {
		return c, false, nil
	}
	if *file.Tokens < 0 || *file.Tokens > maxSize {
		return c, false, fmt.Errorf("%s: pre_seq_len is %d: want 1 to %d, or 0 for no prefix", path, *file.Tokens, maxSize)
	}
	return PrefixConfig{Tokens: *file.Tokens, Projection: file.Projection, Dropout: officialDropout}, true, nil
}

// savePrefix writes the original project's layout. config.json is the model's
// own, so that its loaders take the directory as it is.
func (m *Model) savePrefix(dir, base string) error {
	return m.cfg.save(dir, m.outputs((*Param).isPrefix), map[string]any{
		"pre_seq_len": m.prefix.Tokens, "prefix_projection": m.prefix.Projection, "base_model_name_or_path": base,
	})
}

// loadPrefix reads the prefix of c from dir, where a whole model may be beside
// it.
func (m *Model) loadPrefix(dir string, c PrefixConfig) error {
	files, err := checkpoint.OpenDir(dir)
	if err != nil {
		return err
	}
	defer files.Close()
	if err := c.fits(m.cfg, files); err != nil {
		return fmt.Errorf("prefix %s: %w", dir, err)
	}
	m.RemoveAdapters()
	if err := m.attachPrefix(c, 0, func(p *Param, dst []float32) error { return files.Read(p.Name, dst) }); err != nil {
		return fmt.Errorf("prefix %s: %w", dir, err)
	}
	return nil
}

// fits compares the prefix's tensors in files with those of a model of shape m.
func (c PrefixConfig) fits(m Config, files *checkpoint.Dir) error {
	known := map[string]bool{}
	for _, s := range c.specs(m) {
		known[s.name] = true
		shape, err := files.Shape(s.name)
		if err != nil {
			return fmt.Errorf("config.json has pre_seq_len %d and prefix_projection %t: %w", c.Tokens, c.Projection, err)
		}
		if !slices.Equal(shape, s.shape) {
			return fmt.Errorf("tensor %q has shape %v, pre_seq_len %d and this base model need %v", s.name, shape, c.Tokens, s.shape)
		}
	}
	for _, name := range files.Names() {
		if strings.HasPrefix(name, prefixPart) && !known[name] {
			return fmt.Errorf("tensor %q is not part of the prefix that config.json describes", name)
		}
	}
	return nil
}
