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
	"time"

	"github.com/gofrs/flock"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/chatglm/chat"
	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/gpu/checkpoint/atomicfile"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/finetune"
	"github.com/glmflow/glmflow/ops/demo/corpus"
)

// baseRecipe is all that the tiny base model follows from. A change here trains a
// new one; see name.
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
// later calls find it there. onStep hears of every training step. A call that
// was interrupted is gone on with by the next; while another process trains the
// same model, this one waits for it, and onWait is called once.
func Base(ctx context.Context, cache string, dev device.Device, onStep func(finetune.StepInfo), onWait func()) (dir string, trained bool, err error) {
	return defaultRecipe(dev).cached(ctx, cache, dev, onStep, onWait)
}

func (r baseRecipe) cached(ctx context.Context, cache string, dev device.Device, onStep func(finetune.StepInfo), onWait func()) (dir string, trained bool, err error) {
	name, err := r.name(ctx, dev)
	if err != nil {
		return "", false, fmt.Errorf("name the demo's base model: %w", err)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", false, err
	}
	dir = filepath.Join(cache, name)
	lock := flock.New(dir + ".lock")
	defer lock.Close()
	if ok, err := lock.TryLock(); err != nil {
		return "", false, fmt.Errorf("lock the demo's base model: %w", err)
	} else if !ok {
		onWait()
		if _, err := lock.TryLockContext(ctx, 200*time.Millisecond); err != nil {
			return "", false, fmt.Errorf("wait for the demo that trains the base model: %w", err)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, false, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", false, err
	}
	unfinished := dir + ".part"
	if err := r.train(ctx, unfinished, dev, onStep); err != nil {
		return "", false, fmt.Errorf("train the demo's base model: %w", err)
	}
	return dir, true, os.Rename(unfinished, dir)
}

// name tells models of different bytes apart: it is a digest of the recipe, of
// the text, and of a model that the recipe in miniature gives, which changes with
// whatever of the engine changes numbers.
func (r baseRecipe) name(ctx context.Context, dev device.Device) (string, error) {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(r); err != nil {
		return "", err
	}
	for text := range r.texts {
		fmt.Fprintf(h, "%q\n", text)
	}
	for talk := range r.talks {
		for _, m := range talk {
			fmt.Fprintf(h, "%s %q\n", m.Role, m.Content)
		}
	}
	dir, err := os.MkdirTemp("", "glmflow-demo-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	small := r
	small.Vocabulary, small.TextSamples, small.Talks, small.Steps, small.BatchTokens = 1400, 40, 40, 3, 256
	small.Layers, small.Hidden, small.FFN = 2, 32*r.Heads, 96
	if err := small.train(ctx, dir, dev, func(finetune.StepInfo) {}); err != nil {
		return "", err
	}
	for _, file := range []string{tokenizer.FileName, "model.safetensors"} {
		content, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return "", err
		}
		h.Write(content)
	}
	return "demo-base-" + hex.EncodeToString(h.Sum(nil)[:6]), nil
}

// train makes the model in dir: tokenizer, random weights, small talk. It goes on
// where an earlier call stopped.
func (r baseRecipe) train(ctx context.Context, dir string, dev device.Device, onStep func(finetune.StepInfo)) error {
	vocabulary, err := tokenizer.Train(r.texts, r.Vocabulary)
	if err != nil {
		return fmt.Errorf("tokenizer: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := atomicfile.WriteBytes(filepath.Join(dir, tokenizer.FileName), vocabulary); err != nil {
		return err
	}
	enc, err := tokenizer.Load(dir)
	if err != nil {
		return err
	}
	var examples []finetune.Example
	for talk := range r.talks {
		ids, labels, _, err := chat.Encode(enc, messages(talk), "", chat.Options{})
		if err != nil {
			return fmt.Errorf("encode small talk: %w", err)
		}
		examples = append(examples, finetune.Example{ID: fmt.Sprint(len(examples)), IDs: ids, Labels: labels})
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
	options.SaveEvery = 30
	options.Seed = r.Seed
	state := finetune.Dir(filepath.Join(dir, "state"))
	if _, err := finetune.Run(ctx, model, examples, nil, options, finetune.Hooks{OnStep: onStep, State: state}); err != nil {
		return err
	}
	return errors.Join(model.Save(dir), state.Remove())
}

// talks is the small talk that the model is trained on.
func (r baseRecipe) talks(yield func([]corpus.Message) bool) {
	n := 0
	for talk := range corpus.General(r.Seed) {
		if n++; n > r.Talks || !yield(talk) {
			return
		}
	}
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
