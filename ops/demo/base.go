package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/chatglm/chat"
	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/finetune"
	"github.com/glmflow/glmflow/ops/demo/corpus"
)

// baseRecipe is all that the tiny base model follows from. Its digest names the
// cached model, so a change here trains a new one.
type baseRecipe struct {
	Seed        uint64
	Vocabulary  int // pieces of the tokenizer
	TextSamples int // conversations the tokenizer is trained on, of each corpus
	Talks       int // small-talk conversations the model is trained on
	Steps       int // optimizer steps: fixed, so that the model is the same everywhere
	BatchTokens int // packed tokens a step
	Layers      int
	Hidden      int
	FFN         int
	Heads       int
	Groups      int
	Device      string // kind of processor: bytes are equal on the same kind
}

func defaultRecipe(dev device.Device) baseRecipe {
	return baseRecipe{
		Seed: 42, Vocabulary: 3000, TextSamples: 1500, Talks: 12000, Steps: 420, BatchTokens: 1536,
		Layers: 4, Hidden: 256, FFN: 688, Heads: 4, Groups: 2, Device: dev.Info().Kind,
	}
}

func (r baseRecipe) config(pieces int) chatglm.Config {
	c, _ := chatglm.Shape("demo")
	c.NumLayers, c.HiddenSize, c.FFNHiddenSize = r.Layers, r.Hidden, r.FFN
	c.NumAttentionHeads, c.MultiQueryGroupNum, c.KVChannels = r.Heads, r.Groups, r.Hidden/r.Heads
	c.PaddedVocabSize = (tokenizer.Size(pieces) + 63) / 64 * 64
	return c
}

// Base returns the directory of the demo's base model: a small ChatGLM3 that
// knows the two languages and the shape of a conversation and nothing about the
// shop. The first call trains it (about a minute) and keeps it under cache;
// later calls find it there. onStep hears of every training step.
func Base(ctx context.Context, cache string, dev device.Device, onStep func(finetune.StepInfo)) (dir string, trained bool, err error) {
	recipe := defaultRecipe(dev)
	name, err := json.Marshal(recipe)
	if err != nil {
		return "", false, err
	}
	sum := sha256.Sum256(name)
	dir = filepath.Join(cache, "demo-base-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(filepath.Join(dir, "config.json")); err == nil {
		return dir, false, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", false, err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", false, err
	}
	scratch, err := os.MkdirTemp(cache, "demo-base-*.part")
	if err != nil {
		return "", false, err
	}
	defer os.RemoveAll(scratch)
	if err := recipe.train(ctx, scratch, dev, onStep); err != nil {
		return "", false, fmt.Errorf("train the demo's base model: %w", err)
	}
	if err := os.Rename(scratch, dir); err != nil {
		// Another process may have finished the same model first.
		if _, there := os.Stat(filepath.Join(dir, "config.json")); there == nil {
			return dir, false, nil
		}
		return "", false, err
	}
	return dir, true, nil
}

// train makes the model in dir: tokenizer, random weights, small talk.
func (r baseRecipe) train(ctx context.Context, dir string, dev device.Device, onStep func(finetune.StepInfo)) error {
	vocabulary, err := tokenizer.Train(r.texts, r.Vocabulary)
	if err != nil {
		return fmt.Errorf("tokenizer: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.model"), vocabulary, 0o644); err != nil {
		return err
	}
	enc, err := tokenizer.Load(dir)
	if err != nil {
		return err
	}
	var examples []finetune.Example
	for talk := range corpus.General(r.Seed) {
		ids, labels, _, err := chat.Encode(enc, messages(talk), "", chat.Options{})
		if err != nil {
			return fmt.Errorf("encode small talk: %w", err)
		}
		examples = append(examples, finetune.Example{ID: fmt.Sprint(len(examples)), IDs: ids, Labels: labels})
		if len(examples) == r.Talks {
			break
		}
	}
	model, err := chatglm.New(r.config(enc.Pieces()), dev, r.Seed)
	if err != nil {
		return err
	}
	defer model.Close()
	options := finetune.DefaultOptions()
	options.Method = "full"
	options.LearningRate = 2e-3
	options.WarmupSteps = r.Steps / 20
	options.Decay = "cosine"
	options.MaxSteps = r.Steps
	options.BatchTokens = r.BatchTokens
	options.Seed = r.Seed
	if _, err := finetune.Run(ctx, model, examples, nil, options, finetune.Hooks{OnStep: onStep}); err != nil {
		return err
	}
	return model.Save(dir)
}

// texts are what the tokenizer is trained on: small talk, and conversations of
// the shop from another seed than the demo's logs, so that it knows the words
// and has not seen the conversations.
func (r baseRecipe) texts(yield func(string) bool) {
	n := 0
	for talk := range corpus.General(r.Seed + 1) {
		for _, m := range talk {
			if !yield(m.Content) {
				return
			}
		}
		if n++; n == r.TextSamples {
			break
		}
	}
	for _, c := range corpus.Generate(corpus.Options{Seed: r.Seed + 2, Conversations: r.TextSamples}) {
		for _, m := range c.Messages {
			if !yield(m.Content) {
				return
			}
		}
	}
}

func messages(talk []corpus.Message) []chat.Message {
	out := make([]chat.Message, len(talk))
	for i, m := range talk {
		out[i] = chat.Message{Role: m.Role, Content: m.Content}
	}
	return out
}
