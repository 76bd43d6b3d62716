package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/gpu/finetune"
	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/window"
)

// data is what a window has for training.
type data struct {
	train, validation []finetune.Example
}

// readWindow reads the window that digest names, encoded in the vocabulary of
// the base model in dir.
func readWindow(ctx context.Context, store *artifact.Store, digest, dir string) (data, error) {
	name, err := artifact.Parse(digest)
	if err != nil {
		return data{}, pipeline.Park(fmt.Errorf("window: %w", err))
	}
	manifest, err := window.Load(ctx, store, name)
	if errors.Is(err, fs.ErrNotExist) {
		return data{}, pipeline.Park(err)
	}
	if err != nil {
		return data{}, err
	}
	vocabulary, err := tokenizer.Load(dir)
	if err != nil {
		return data{}, fmt.Errorf("base model: %w", err)
	}
	if v := vocabulary.Digest(); manifest.Vocab != v {
		return data{}, pipeline.Park(fmt.Errorf("window %s is encoded in vocabulary %s, but the base model in %s has %s: tokenize the conversations again with that model",
			name.Short(), manifest.Vocab, dir, v))
	}
	var d data
	for split, examples := range map[window.Split]*[]finetune.Example{window.Train: &d.train, window.Validation: &d.validation} {
		for row, err := range manifest.Rows(ctx, store, split) {
			if err != nil {
				return data{}, fmt.Errorf("window %s, %s: %w", name.Short(), split, err)
			}
			*examples = append(*examples, finetune.Example{ID: row.ID, IDs: row.IDs, Labels: row.Labels})
		}
	}
	return d, nil
}
