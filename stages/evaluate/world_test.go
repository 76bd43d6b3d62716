package evaluate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/reference"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/pipelinetest"
	"github.com/glmflow/glmflow/pipeline/window"
	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/schemas/parquetio"
)

// A world is what the stage finds around it: a tiny base model, an adapter that
// was trained for a few steps, an adapter that was not, and who is in production.
type world struct {
	t          testing.TB
	base       string // directory
	trained    string
	untrained  string
	production *Ref
	window     artifact.Digest // "" while nothing was trained
	uploads    map[artifact.Digest][]schemas.TokenRow

	opened atomic.Int32 // models opened so far
}

// heldOutRows are the test split: half Chinese, half English, one conversation
// without a target.
func heldOutRows() []schemas.TokenRow {
	rows := []schemas.TokenRow{mask(tokenRow("none", "en", "nothing", "to learn"), 0)}
	for i := range 3 {
		rows = append(rows,
			tokenRow(fmt.Sprintf("zh-%d", i), "zh", fmt.Sprintf("订单%d在哪", i), "在路上"),
			tokenRow(fmt.Sprintf("en-%d", i), "en", "hi", "hello", fmt.Sprintf("where is order %d?", i), "on its way"))
	}
	return rows
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, base: t.TempDir(), trained: t.TempDir(), untrained: t.TempDir(), uploads: map[artifact.Digest][]schemas.TokenRow{}}
	var config chatglm.Config
	if err := json.Unmarshal([]byte(`{
		"num_layers": 1, "padded_vocab_size": 272, "hidden_size": 16, "ffn_hidden_size": 24, "kv_channels": 8,
		"num_attention_heads": 2, "multi_query_attention": true, "multi_query_group_num": 1,
		"seq_length": 256, "layernorm_epsilon": 1e-5, "rmsnorm": true, "add_qkv_bias": true, "post_layer_norm": true
	}`), &config); err != nil {
		t.Fatal(err)
	}
	dev := openDevice(t)
	m, err := chatglm.New(config, dev, 1)
	must(t, err)
	defer m.Close()
	must(t, m.Save(w.base))
	must(t, m.AddLoRA(chatglm.LoRAConfig{Rank: 4, Alpha: 8}, 2))
	must(t, m.SaveAdapter(w.untrained, "base"))
	w.train(dev, m)
	must(t, m.SaveAdapter(w.trained, "base"))
	return w
}

// train takes a few plain gradient steps on the very conversations that are held
// out, so that the candidate is better on them for certain.
func (w *world) train(dev device.Device, m *chatglm.Model) {
	var seqs []chatglm.Sequence
	targets := 0
	for _, row := range heldOutRows() {
		seqs = append(seqs, chatglm.Sequence{IDs: row.IDs, Labels: row.Labels})
		targets += targetsOf(row)
	}
	for step := range 6 {
		_, err := m.Accumulate(chatglm.Pack(seqs), 1/float32(targets), uint64(step))
		must(w.t, err)
		for _, p := range m.Trainable() {
			dev.Axpy(p.Tensor(), -0.5, p.Grad)
			dev.Zero(p.Grad.Mem)
		}
	}
}

func openDevice(t testing.TB) device.Device {
	t.Helper()
	dev, err := reference.Open(device.Options{Workers: 1})
	must(t, err)
	t.Cleanup(func() { must(t, dev.Close()) })
	return dev
}

func (w *world) Resolve(_ context.Context, ref string) (Ref, error) {
	switch {
	case ref == "":
		return Ref{Name: "base", Dir: w.base}, nil
	case ref == "assistant:1":
		return Ref{Name: ref, Dir: w.base, Adapter: w.trained}, nil
	case ref == "assistant@production" && w.production != nil:
		return *w.production, nil
	}
	return Ref{}, fmt.Errorf("no model %q: %w", ref, fs.ErrNotExist)
}

func (w *world) Base(_ context.Context, digest string) (string, error) {
	if digest != "sha256:base" {
		return "", fmt.Errorf("no base model %s: %w", digest, fs.ErrNotExist)
	}
	return w.base, nil
}

func (w *world) Open(_ context.Context, dir string) (*chatglm.Model, error) {
	w.opened.Add(1)
	return chatglm.Open(dir, openDevice(w.t))
}

func (w *world) HeldOut(context.Context) (string, error) {
	if w.window == "" {
		return "", fmt.Errorf("no window yet: %w", fs.ErrNotExist)
	}
	return string(w.window), nil
}

func (w *world) Read(_ context.Context, _ *artifact.Store, d artifact.Digest) iter.Seq2[schemas.TokenRow, error] {
	return func(yield func(schemas.TokenRow, error) bool) {
		rows, ok := w.uploads[d]
		if !ok {
			yield(schemas.TokenRow{}, fmt.Errorf("%s has no layout that ingest knows: %w", d, fs.ErrNotExist))
			return
		}
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// stage makes the stage of this world.
func (w *world) stage(change func(*Config)) *Stage {
	config := DefaultConfig()
	config.Generate, config.Samples, config.MaxNew, config.BatchTokens, config.Resamples = 4, 2, 8, 96, 400
	if change != nil {
		change(&config)
	}
	s, err := New(config, Deps{Models: w, Data: w, Encoder: byteEncoder{}})
	must(w.t, err)
	return s
}

// input is an adapter event for the adapter in dir, with the window it needs.
func (w *world) input(dir string, rows []schemas.TokenRow) pipelinetest.Input {
	members := parquet(w.t, rows)
	manifest, err := json.Marshal(window.Manifest{Version: 1, Vocab: byteEncoder{}.Digest(), Parts: []window.Part{
		{Split: window.Train}, {Split: window.Validation},
		{Split: window.Test, Members: string(artifact.Of(members)), Rows: int64(len(rows))},
	}})
	must(w.t, err)
	w.window = artifact.Of(manifest)
	files, err := pipelinetest.Store(w.t).PutTree(w.t.Context(), os.DirFS(dir))
	must(w.t, err)
	return pipelinetest.Input{
		Kind: schemas.Adapter,
		Rows: []schemas.AdapterRow{{
			Name: "assistant", Method: "lora", Files: string(files), Base: "sha256:base", Window: string(w.window), Curve: []schemas.Point{},
		}},
		Files: [][]byte{members, manifest},
		Trees: []fs.FS{os.DirFS(dir)},
	}
}

func parquet(t testing.TB, rows []schemas.TokenRow) []byte {
	t.Helper()
	return parquetOf(t, schemas.Tokens, rows)
}

func parquetOf[T any](t testing.TB, kind schemas.Kind, rows []T) []byte {
	t.Helper()
	var file bytes.Buffer
	_, err := parquetio.Write(&file, kind, func(yield func(T, error) bool) {
		for row := range slices.Values(rows) {
			if !yield(row, nil) {
				return
			}
		}
	}, nil)
	must(t, err)
	return file.Bytes()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
