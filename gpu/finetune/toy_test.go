package finetune

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"testing"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/reference"
)

// toyVocabulary is the number of ids of the toy task.
const toyVocabulary = 16

// toyConfig is a model that a test can train in a second.
func toyConfig() chatglm.Config {
	return chatglm.Config{
		NumLayers: 2, HiddenSize: 16, FFNHiddenSize: 24,
		NumAttentionHeads: 4, KVChannels: 4, MultiQueryAttention: true, MultiQueryGroupNum: 2,
		PaddedVocabSize: toyVocabulary, SeqLength: 64, LayerNormEpsilon: 1e-5, AddQKVBias: true,
	}
}

// counting is the toy task: sequences that count by some step from anywhere,
// modulo 12. Whoever has understood it has a loss of zero.
func counting(n, from, by int) []Example {
	examples := make([]Example, n)
	for i := range examples {
		length := 5 + (i+from)%4
		e := Example{ID: string(rune('a' + i%26)), IDs: make([]int32, length), Labels: make([]int32, length)}
		for j := range e.IDs {
			e.IDs[j] = int32(3 + (120+i*5+from+j*by)%12)
			e.Labels[j] = e.IDs[j]
		}
		e.Labels[0] = -100
		examples[i] = e
	}
	return examples
}

// toyOptions learn the task.
func toyOptions() Options {
	o := DefaultOptions()
	o.LoRA.Rank, o.LoRA.Alpha, o.LoRA.Dropout = 4, 8, 0.1
	o.LearningRate = 1e-2
	o.BatchTokens, o.Accumulate = 24, 2
	o.Epochs, o.WarmupSteps = 2, 2
	o.EvalEvery, o.SaveEvery = 3, 2
	return o
}

// toyModel is always the same model.
func toyModel(t testing.TB, dev device.Device) *chatglm.Model {
	t.Helper()
	m, err := chatglm.New(toyConfig(), dev, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func open(t testing.TB, workers int) device.Device {
	t.Helper()
	dev, err := reference.Open(device.Options{Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

// trained is what the trainable parameters of m hold.
func trained(m *chatglm.Model) [][]float32 {
	var all [][]float32
	for _, p := range m.Trainable() {
		w := make([]float32, p.Len())
		if err := m.Values(p, w); err != nil {
			panic(err)
		}
		all = append(all, w)
	}
	return all
}

// inMemory keeps checkpoints in memory.
type inMemory map[string][]byte

func (s inMemory) Save(_ context.Context, name string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	s[name] = b.Bytes()
	return nil
}

func (s inMemory) Load(_ context.Context, name string) (io.ReadCloser, error) {
	b, ok := s[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}
