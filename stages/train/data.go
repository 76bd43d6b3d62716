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
	if d.train, err = readSplit(ctx, store, manifest, window.Train); err != nil {
		return data{}, fmt.Errorf("window %s: %w", name.Short(), err)
	}
	if d.validation, err = readSplit(ctx, store, manifest, window.Validation); err != nil {
		return data{}, fmt.Errorf("window %s: %w", name.Short(), err)
	}
	return d, nil
}

func readSplit(ctx context.Context, store *artifact.Store, m *window.Manifest, split window.Split) ([]finetune.Example, error) {
	var examples []finetune.Example
	for row, err := range m.Rows(ctx, store, split) {
		if err != nil {
			return nil, fmt.Errorf("%s rows: %w", split, err)
		}
		examples = append(examples, finetune.Example{ID: row.ID, IDs: row.IDs, Labels: row.Labels})
	}
	return examples, nil
}
