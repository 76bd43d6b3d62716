package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/gpu/checkpoint"
	"github.com/glmflow/glmflow/gpu/checkpoint/peft"
)

// modelInfo describes a directory: a checkpoint, a PEFT adapter or a prefix.
type modelInfo struct {
	Dir        string          `json:"dir"`
	Kind       string          `json:"kind"` // "model" or "adapter"
	Config     *chatglm.Config `json:"config,omitempty"`
	Adapter    *adapterInfo    `json:"adapter,omitempty"`
	Prefix     *prefixInfo     `json:"prefix,omitempty"`
	Parameters int64           `json:"parameters"`            // in the files
	Weights    string          `json:"weights,omitempty"`     // how a model's linears are stored
	Trainable  int64           `json:"lora_rank_8,omitempty"` // parameters that LoRA of rank 8 would train on a model
	Bytes      int64           `json:"bytes"`                 // of the weights' files
	Vocabulary *vocabularyInfo `json:"vocabulary,omitempty"`
}

type adapterInfo struct {
	Base    string       `json:"base"`
	Rank    int          `json:"rank"`
	Alpha   float64      `json:"alpha"`
	Dropout float64      `json:"dropout"`
	Targets peft.Targets `json:"targets"` // names, or a pattern
}

type prefixInfo struct {
	Tokens     int  `json:"tokens"`
	Projection bool `json:"projection"`
}

type vocabularyInfo struct {
	Pieces int    `json:"pieces"`
	Digest string `json:"digest"`
}

func newModelInfoCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "info DIR",
		Short: "Describe a model or an adapter directory",
		Long: `info says what a directory holds: the shape and size of a ChatGLM3 checkpoint and
its vocabulary, the rank, targets and base of a PEFT adapter, or the length of a
prefix.`,
		Example: `  glmflow model info chatglm3-6b --json`,
		Args:    wrong(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			info, err := describeModel(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				out := lines(c.OutOrStdout())
				out.SetIndent("", "  ")
				return out.Encode(info)
			}
			for _, line := range info.lines() {
				fmt.Fprintf(c.OutOrStdout(), "%-12s %s\n", line[0], line[1])
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

func describeModel(dir string) (modelInfo, error) {
	info := modelInfo{Dir: dir, Kind: "model"}
	config, err := peft.ReadConfig(dir)
	switch {
	case err == nil:
		info.Kind = "adapter"
		info.Adapter = &adapterInfo{config.BaseModel, config.R, config.LoraAlpha, config.LoraDropout, config.TargetModules}
	case errors.Is(err, fs.ErrNotExist):
		shape, err := chatglm.ReadConfig(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return info, fmt.Errorf("%s: neither a model nor an adapter: it has no config.json and no %s", dir, peft.ConfigFile)
		}
		if err != nil {
			return info, err
		}
		info.Config = &shape
		if err := info.describePrefix(); err != nil {
			return info, err
		}
	default:
		return info, err
	}
	if enc, err := tokenizer.Load(dir); err == nil {
		info.Vocabulary = &vocabularyInfo{enc.Pieces(), enc.Digest()}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return info, err
	}
	return info, info.measure()
}

// describePrefix looks for a P-Tuning prefix, alone or in a model.
func (i *modelInfo) describePrefix() error {
	prefix, ok, err := chatglm.ReadPrefixConfig(i.Dir)
	if err != nil || !ok {
		return err
	}
	i.Prefix = &prefixInfo{prefix.Tokens, prefix.Projection}
	kind, err := chatglm.AdapterKind(i.Dir)
	if kind == chatglm.KindPrefix {
		i.Kind, i.Config = "adapter", nil
	}
	return err
}

// measure adds up the weights' files. An adapter's parameters are counted there,
// a checkpoint's by its configuration.
func (i *modelInfo) measure() error {
	names, err := checkpoint.Files(i.Dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := filepath.Join(i.Dir, name)
		stat, err := os.Stat(path)
		if err != nil {
			return err
		}
		file, err := checkpoint.Open(path)
		if err != nil {
			return err
		}
		i.Bytes += stat.Size()
		for _, shape := range file.Tensors() {
			n := int64(1)
			for _, d := range shape {
				n *= int64(d)
			}
			i.Parameters += n
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
	if i.Config != nil {
		shape, err := chatglm.Describe(*i.Config, &chatglm.LoRAConfig{})
		if err != nil {
			return err
		}
		i.Parameters, i.Trainable = shape.Parameters, shape.Trainable
		i.Weights, err = chatglm.StoredFormat(i.Dir)
		return err
	}
	return nil
}

// lines is i for people.
func (i *modelInfo) lines() [][2]string {
	lines := [][2]string{{"directory", i.Dir}, {"kind", i.Kind}}
	add := func(name, format string, args ...any) {
		lines = append(lines, [2]string{name, fmt.Sprintf(format, args...)})
	}
	if c := i.Config; c != nil {
		add("layers", "%d", c.NumLayers)
		add("hidden", "%d, feed-forward %d", c.HiddenSize, c.FFNHiddenSize)
		add("attention", "%d heads of %d, %d groups", c.NumAttentionHeads, c.KVChannels, c.MultiQueryGroupNum)
		add("context", "%d tokens", c.SeqLength)
		add("embeddings", "%d", c.PaddedVocabSize)
	}
	if a := i.Adapter; a != nil {
		add("base", "%s", a.Base)
		add("rank", "%d, alpha %g, dropout %g", a.Rank, a.Alpha, a.Dropout)
		add("targets", "%s", strings.Join(a.Targets.Names, ", ")+a.Targets.Pattern)
	}
	if p := i.Prefix; p != nil {
		add("prefix", "%d tokens, projection %t", p.Tokens, p.Projection)
	}
	add("parameters", "%d", i.Parameters)
	if i.Weights != "" {
		add("weights", "%s", i.Weights)
		add("lora", "%d trainable at rank 8", i.Trainable)
	}
	add("files", "%d bytes of weights", i.Bytes)
	switch {
	case i.Vocabulary != nil:
		add("vocabulary", "%d pieces, %s", i.Vocabulary.Pieces, i.Vocabulary.Digest)
	case i.Config != nil:
		add("vocabulary", "none: it takes token rows only")
	}
	return lines
}
