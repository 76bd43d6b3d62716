package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/gpu/checkpoint/atomicfile"
	"github.com/glmflow/glmflow/ops/term"
)

func newModelInitCommand(env Env) *cobra.Command {
	var shape, vocabulary, out, dtype string
	var seed uint64
	var overwrite bool
	c := &cobra.Command{
		Use:   "init --shape SHAPE --out DIR",
		Short: "Make a model with random weights",
		Long: `init writes a ChatGLM3-shaped model with random weights to a directory, in the
layout of Hugging Face: config.json and model.safetensors, in shards if it is
large. It is made piece by piece, so that its size does not matter. With
--tokenizer it gets that vocabulary and as many embeddings as it needs, rounded up
to a multiple of 512 like the original's, unless --shape says padded_vocab_size;
without, the model takes token rows only.

The same seed gives the same bytes on every machine.`,
		Example: `  glmflow model init --shape tiny --tokenizer tokenizer.model --out tiny
  glmflow model init --shape chatglm3-6b --dtype bf16 --out random-6b
  glmflow model init --shape tiny,num_layers=3,rope_ratio=50 --out odd`,
		Args: wrong(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := chatglm.ParseShape(shape)
			if err != nil {
				return usageError{err}
			}
			if !slices.Contains(chatglm.InitFormats(), dtype) {
				return usagef("--dtype %s: want %s", dtype, strings.Join(chatglm.InitFormats(), ", "))
			}
			if err := checkOut(out, wholeModel, overwrite, input{"tokenizer", vocabulary}); err != nil {
				return err
			}
			if vocabulary != "" {
				enc, err := tokenizer.Load(vocabulary)
				if err != nil {
					return err
				}
				if _, changes, _ := strings.Cut(shape, ","); !strings.Contains(","+changes, ",padded_vocab_size=") {
					config.PaddedVocabSize = tokenizer.Rows(enc.Pieces())
				} else if ids := tokenizer.Size(enc.Pieces()); ids > config.PaddedVocabSize {
					return usagef("--shape %s: the vocabulary of --tokenizer has %d ids: want padded_vocab_size to be that or more", shape, ids)
				}
			}
			if vocabulary != "" { // before what makes it a model
				if err := copyVocabulary(vocabulary, out); err != nil {
					return err
				}
			}
			bar := term.NewProgress(term.NewScreen(c.ErrOrStderr()), env.Now)
			defer bar.Clear()
			if err := chatglm.Init(c.Context(), out, config, chatglm.InitOptions{Format: dtype, Seed: seed, OnProgress: func(done, total int64) {
				bar.Show("write", done>>20, total>>20, "MiB")
			}}); err != nil {
				return err
			}
			bar.Clear()
			fmt.Fprintln(c.OutOrStdout(), out)
			return nil
		},
	}
	c.Flags().StringVar(&shape, "shape", "tiny", shapeUsage())
	c.Flags().StringVar(&vocabulary, "tokenizer", "", "tokenizer.model, or a directory with one, to take along")
	c.Flags().StringVar(&out, "out", "", "directory to write; created")
	c.Flags().BoolVar(&overwrite, "overwrite", false, "replace a model in --out")
	c.Flags().StringVar(&dtype, "dtype", "fp32", "numbers of the weights: "+strings.Join(chatglm.InitFormats(), ", ")+"; int8 and int4 are the original's quantised layouts")
	c.Flags().Uint64Var(&seed, "seed", 42, "of the random weights")
	require(c, "out")
	return c
}

// shapeUsage explains flags that take a shape.
func shapeUsage() string {
	return "shape of the model: " + strings.Join(chatglm.Shapes(), ", ") + "; fields of config.json that differ follow after commas"
}

// copyVocabulary copies a tokenizer.model, or that of a directory, to dir, which is
// created.
func copyVocabulary(from, dir string) error {
	if info, err := os.Stat(from); err == nil && info.IsDir() {
		from = filepath.Join(from, "tokenizer.model")
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := atomicfile.MkdirAll(dir); err != nil {
		return err
	}
	return atomicfile.WriteBytes(filepath.Join(dir, "tokenizer.model"), b)
}
