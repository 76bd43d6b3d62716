package train_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/chatglm/chat"
	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/gpu/checkpoint/peft"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/reference"
	"github.com/glmflow/glmflow/gpu/finetune"
	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/pipelinetest"
	"github.com/glmflow/glmflow/pipeline/window"
	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/schemas/parquetio"
	"github.com/glmflow/glmflow/stages/train"
)

// models is what the stage starts from in tests.
type models struct {
	dir        string
	digest     artifact.Digest
	production *schemas.ReleaseRow
}

func (m models) Base() (string, artifact.Digest) { return m.dir, m.digest }

func (m models) Production(context.Context, string) (schemas.ReleaseRow, bool, error) {
	if m.production == nil {
		return schemas.ReleaseRow{}, false, nil
	}
	return *m.production, true, nil
}

// answers are the conversations of the tests: a question each and its answer.
func answers() [][2]string {
	var all [][2]string
	for i := range 24 {
		all = append(all, [2]string{fmt.Sprintf("where is order %d", i), fmt.Sprintf("order %d is on its way", i)})
	}
	return all
}

// bench is a base model, and a window of conversations in its vocabulary.
type bench struct {
	models models
	enc    tokenizer.Encoder
}

func newBench(t *testing.T) bench {
	t.Helper()
	dir := t.TempDir()
	texts := func(yield func(string) bool) {
		for _, a := range answers() {
			if !yield(a[0]) || !yield(a[1]) {
				return
			}
		}
	}
	vocabulary, err := tokenizer.Train(iter.Seq[string](texts), 320)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.model"), vocabulary, 0o644); err != nil {
		t.Fatal(err)
	}
	enc, err := tokenizer.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	model, err := chatglm.New(chatglm.Config{
		NumLayers: 2, HiddenSize: 16, FFNHiddenSize: 24,
		NumAttentionHeads: 4, KVChannels: 4, MultiQueryAttention: true, MultiQueryGroupNum: 2,
		PaddedVocabSize: tokenizer.Size(enc.Pieces()), SeqLength: 128, LayerNormEpsilon: 1e-5, AddQKVBias: true,
	}, open(t, 1), 3)
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	if err := model.Save(dir); err != nil {
		t.Fatal(err)
	}
	digest, err := pipelinetest.Store(t).PutTree(t.Context(), os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	return bench{models{dir: dir, digest: digest}, enc}
}

func open(t *testing.T, workers int) device.Device {
	t.Helper()
	dev, err := reference.Open(device.Options{Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

// config trains for a second.
func config() train.Config {
	c := train.DefaultConfig()
	c.LearningRate, c.BatchTokens, c.Accumulate, c.Epochs = 5e-3, 96, 2, 2
	c.EvalEvery, c.SaveEvery = 2, 1
	c.LoRA.Rank, c.LoRA.Alpha = 2, 4
	return c
}

func (b bench) stage(t *testing.T, c train.Config, workers int) *train.Stage {
	t.Helper()
	s, err := train.New(c, train.Deps{Device: open(t, workers), Models: b.models})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// input is a train.due event with its window beside it.
func (b bench) input(t *testing.T, vocab string) pipelinetest.Input {
	t.Helper()
	var rows []schemas.TokenRow
	for i, a := range answers() {
		ids, labels, _, err := chat.Encode(b.enc, []chat.Message{
			{Role: schemas.RoleUser, Content: a[0]}, {Role: schemas.RoleAssistant, Content: a[1]},
		}, "", chat.Options{})
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, schemas.TokenRow{ID: fmt.Sprintf("%02d", i), IDs: ids, Labels: labels, Targets: int32(len(ids))})
	}
	in := pipelinetest.Input{Kind: schemas.TrainDue}
	manifest := window.Manifest{Version: 1, Vocab: vocab, Against: []string{}}
	for _, part := range []struct {
		split window.Split
		rows  []schemas.TokenRow
	}{{window.Train, rows[:16]}, {window.Validation, rows[16:20]}, {window.Test, rows[20:]}} {
		var file bytes.Buffer
		n, err := parquetio.Write(&file, schemas.Tokens, seq(part.rows), nil)
		if err != nil {
			t.Fatal(err)
		}
		in.Files = append(in.Files, file.Bytes())
		manifest.Parts = append(manifest.Parts, window.Part{Split: part.split, Members: string(artifact.Of(file.Bytes())), Rows: n})
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	in.Files = append(in.Files, text)
	in.Data = schemas.TrainJob{Model: "assistant", Window: string(artifact.Of(text)), Reason: "test"}
	return in
}

func seq[T any](rows []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for row := range slices.Values(rows) {
			if !yield(row, nil) {
				return
			}
		}
	}
}

func TestContract(t *testing.T) {
	b := newBench(t)
	poison := b.input(t, "sha256:"+strings.Repeat("0", 64))
	pipelinetest.Exercise(t, func() pipeline.Stage { return b.stage(t, config(), 1) }, pipelinetest.Fixture{
		Inputs: []pipelinetest.Input{b.input(t, b.enc.Digest())},
		Poison: &poison,
	})
}

// adapter runs the job in store and returns its row.
func adapter(t *testing.T, store *artifact.Store, stage *train.Stage, in pipelinetest.Input) schemas.AdapterRow {
	t.Helper()
	r := pipelinetest.RunIn(t, store, stage, in)
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	rows := pipelinetest.Rows[schemas.AdapterRow](t, r, schemas.Adapter)
	if len(rows) != 1 {
		t.Fatalf("%d adapters, want 1", len(rows))
	}
	return rows[0]
}

func TestTrainsAnAdapter(t *testing.T) {
	b := newBench(t)
	store := pipelinetest.Store(t)
	row := adapter(t, store, b.stage(t, config(), 2), b.input(t, b.enc.Digest()))
	if row.Name != "assistant" || row.Method != "lora" || row.Base != string(b.models.digest) || row.Parent != "" ||
		row.Device != open(t, 1).Info().Kind || row.Steps == 0 || int(row.Steps) != len(row.Curve) || row.Targets >= row.Tokens {
		t.Errorf("the row is %+v", row)
	}
	// Two layers, each A [2, 16] and B [32, 2].
	if want := int64(2 * (2*16 + 32*2)); row.Trainable != want {
		t.Errorf("%d trainable parameters, want %d", row.Trainable, want)
	}
	var o finetune.Options
	if err := json.Unmarshal([]byte(row.Config), &o); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(config().Options, o); d != "" {
		t.Errorf("configuration in the row (-given +recorded):\n%s", d)
	}
	files, err := store.Tree(t.Context(), artifact.Digest(row.Files))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 || files[0].Path != "adapter_config.json" || files[1].Path != "adapter_model.safetensors" {
		t.Errorf("the tree holds %+v, want a PEFT directory", files)
	}
	dir, err := store.Checkout(t.Context(), artifact.Digest(row.Files))
	if err != nil {
		t.Fatal(err)
	}
	c, err := peft.ReadConfig(dir)
	if err != nil || c.BaseModel != string(b.models.digest) {
		t.Errorf("the adapter's base is %q (%v), want the digest: a path would be of this machine", c.BaseModel, err)
	}
}

// TestEveryMethodLeavesItsFiles: an adapter or a whole model, and the next
// training goes on from it where it may.
func TestEveryMethodLeavesItsFiles(t *testing.T) {
	for method, want := range map[string]struct {
		files     []string
		trainable int64
	}{
		finetune.LoRA:    {[]string{"adapter_config.json", "adapter_model.safetensors"}, 2 * (2*16 + 32*2)},
		finetune.PTuning: {[]string{"config.json", "model.safetensors"}, 3 * 2 * 2 * 8},
		finetune.Freeze:  {[]string{"config.json", "model.safetensors", "tokenizer.model"}, 0},
		finetune.Full:    {[]string{"config.json", "model.safetensors", "tokenizer.model"}, 0},
	} {
		t.Run(method, func(t *testing.T) {
			b := newBench(t)
			store := pipelinetest.Store(t)
			c := config()
			c.Method, c.Prefix.Tokens, c.Part.Last = method, 3, 1
			in := b.input(t, b.enc.Digest())
			row := adapter(t, store, b.stage(t, c, 2), in)
			if row.Method != method || want.trainable > 0 && row.Trainable != want.trainable {
				t.Errorf("the row says method %s and %d trainable weights, want %d", row.Method, row.Trainable, want.trainable)
			}
			files, err := store.Tree(t.Context(), artifact.Digest(row.Files))
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, f := range files {
				names = append(names, f.Path)
			}
			if d := cmp.Diff(want.files, names); d != "" {
				t.Errorf("files (-want +got):\n%s", d)
			}
			b.models.production = &schemas.ReleaseRow{Name: "assistant", Version: 1, Adapter: row.Files, Base: row.Base}
			c.Seed = 7
			in.Edit = func(e *schemas.Event) { e.ID = "again" }
			if next := adapter(t, store, b.stage(t, c, 1), in); next.Parent != row.Files {
				t.Errorf("the next training continues %q, want %q", next.Parent, row.Files)
			}
			c.Method = finetune.PTuning
			if method == finetune.PTuning {
				c.Prefix.Tokens = 4
			}
			in.Edit = func(e *schemas.Event) { e.ID = "otherwise" }
			if other := adapter(t, store, b.stage(t, c, 1), in); other.Parent != "" {
				t.Errorf("another method continues %q", other.Parent)
			}
		})
	}
}

func TestWorkersChangeNothing(t *testing.T) {
	b := newBench(t)
	in := b.input(t, b.enc.Digest())
	one := adapter(t, pipelinetest.Store(t), b.stage(t, config(), 1), in)
	three := adapter(t, pipelinetest.Store(t), b.stage(t, config(), 3), in)
	if d := cmp.Diff(one, three); d != "" {
		t.Errorf("(-one worker +three):\n%s", d)
	}
}

// TestResumes cancels the job after each of its steps in turn, and delivers it
// again to another process: the row, and with it every byte, is the same.
func TestResumes(t *testing.T) {
	b := newBench(t)
	in := b.input(t, b.enc.Digest())
	want := adapter(t, pipelinetest.Store(t), b.stage(t, config(), 1), in)
	for cancelAt := int64(1); cancelAt < want.Steps; cancelAt++ {
		store := pipelinetest.Store(t)
		ctx, cancel := context.WithCancel(t.Context())
		_, err := pipeline.Do(ctx, b.stage(t, config(), 1), in.Event(t, store), pipeline.Options{
			Store: store,
			Progress: func(p pipeline.Progress) {
				if p.Done >= cancelAt {
					cancel()
				}
			},
		})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled after step %d: %v", cancelAt, err)
		}
		first := int64(0)
		h, err := pipeline.Do(t.Context(), b.stage(t, config(), 2), in.Event(t, store), pipeline.Options{
			Store: store, Attempt: 2,
			Progress: func(p pipeline.Progress) {
				if first == 0 && p.Done > 0 {
					first = p.Done
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if first != cancelAt+1 {
			t.Errorf("cancelled after step %d: went on with step %d", cancelAt, first)
		}
		var d schemas.Dataset
		if err := h.Data[0].Decode(&d); err != nil {
			t.Fatal(err)
		}
		for got, err := range pipeline.RowsOf[schemas.AdapterRow](t.Context(), store, d) {
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("cancelled after step %d (-undisturbed +resumed):\n%s", cancelAt, diff)
			}
		}
	}
}

func TestContinuesProductionWhenItFits(t *testing.T) {
	b := newBench(t)
	store := pipelinetest.Store(t)
	in := b.input(t, b.enc.Digest())
	first := adapter(t, store, b.stage(t, config(), 1), in)
	release := schemas.ReleaseRow{Name: "assistant", Version: 1, Adapter: first.Files, Base: first.Base}
	for name, c := range map[string]struct {
		config  func(*train.Config)
		release func(*schemas.ReleaseRow)
		parent  string
	}{
		"fits":         {parent: first.Files},
		"unwanted":     {config: func(c *train.Config) { c.Init = train.FromBase }},
		"other rank":   {config: func(c *train.Config) { c.LoRA.Rank, c.LoRA.Alpha = 4, 8 }},
		"other layers": {config: func(c *train.Config) { c.LoRA.Targets = []string{"dense"} }},
		"other method": {config: func(c *train.Config) { c.Method = finetune.Full }},
		"other base":   {release: func(r *schemas.ReleaseRow) { r.Base = "sha256:" + strings.Repeat("1", 64) }},
	} {
		t.Run(name, func(t *testing.T) {
			conf, rel, b := config(), release, b
			conf.Seed = 7 // another job state
			if c.config != nil {
				c.config(&conf)
			}
			if c.release != nil {
				c.release(&rel)
			}
			b.models.production = &rel
			in := in
			in.Edit = func(e *schemas.Event) { e.ID = strings.ReplaceAll(name, " ", "-") }
			row := adapter(t, store, b.stage(t, conf, 1), in)
			if row.Parent != c.parent {
				t.Errorf("parent %q, want %q", row.Parent, c.parent)
			}
			if name == "fits" && *row.Curve[1].ValLoss >= *first.Curve[1].ValLoss {
				t.Errorf("continued, it has validation loss %.4f at step 2; begun anew it had %.4f", *row.Curve[1].ValLoss, *first.Curve[1].ValLoss)
			}
		})
	}
}

// TestPromotionMeanwhileChangesNothing: what a job continues is decided once.
func TestPromotionMeanwhileChangesNothing(t *testing.T) {
	b := newBench(t)
	store := pipelinetest.Store(t)
	in := b.input(t, b.enc.Digest())
	other := adapter(t, store, b.stage(t, config(), 1), in)
	in.Edit = func(e *schemas.Event) { e.ID = "second" }
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := pipeline.Do(ctx, b.stage(t, config(), 1), in.Event(t, store), pipeline.Options{
		Store: store, Progress: func(pipeline.Progress) { cancel() },
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	b.models.production = &schemas.ReleaseRow{Name: "assistant", Version: 1, Adapter: other.Files, Base: other.Base}
	if row := adapter(t, store, b.stage(t, config(), 1), in); row.Parent != "" {
		t.Errorf("the second delivery continued %q, the first one began at the base", row.Parent)
	}
}

func TestFullTrainingMakesACheckpoint(t *testing.T) {
	b := newBench(t)
	store := pipelinetest.Store(t)
	c := config()
	c.Method = finetune.Full
	row := adapter(t, store, b.stage(t, c, 1), b.input(t, b.enc.Digest()))
	dir, err := store.Checkout(t.Context(), artifact.Digest(row.Files))
	if err != nil {
		t.Fatal(err)
	}
	m, err := chatglm.Open(dir, open(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if enc, err := tokenizer.Load(dir); err != nil || enc.Digest() != b.enc.Digest() {
		t.Errorf("the checkpoint's vocabulary: %v", err)
	}
}

func TestParksWhatNoRetryMends(t *testing.T) {
	b := newBench(t)
	broken := b.input(t, b.enc.Digest())
	broken.Data = schemas.TrainJob{Model: "assistant", Window: "yesterday"}
	absent := b.input(t, b.enc.Digest())
	absent.Data = schemas.TrainJob{Model: "assistant", Window: "sha256:" + strings.Repeat("2", 64)}
	for name, c := range map[string]struct {
		in   pipelinetest.Input
		want string
	}{
		"vocabulary": {b.input(t, "sha256:"+strings.Repeat("0", 64)), "tokenize the conversations again"},
		"no digest":  {broken, "no digest"},
		"no window":  {absent, "window manifest"},
	} {
		r := pipelinetest.Run(t, b.stage(t, config(), 1), c.in)
		if !pipeline.IsParked(r.Err) || !strings.Contains(r.Err.Error(), c.want) {
			t.Errorf("%s: %v, want it parked and saying %q", name, r.Err, c.want)
		}
	}
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	for field, spoil := range map[string]func(*train.Config){
		"init":          func(c *train.Config) { c.Init = "scratch" },
		"lease":         func(c *train.Config) { c.Lease = 1 },
		"learning_rate": func(c *train.Config) { c.LearningRate = -1 },
	} {
		c := train.DefaultConfig()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field+" is ") {
			t.Errorf("%s: error %v does not name it", field, err)
		}
	}
	if err := train.DefaultConfig().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}
