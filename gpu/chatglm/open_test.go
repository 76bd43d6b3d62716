package chatglm

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/reference"
)

// saved writes the tiny model to a directory, from weights of a format.
func saved(t testing.TB, weights string) string {
	t.Helper()
	dev := openReference(t)
	shape, _ := Shape("tiny")
	shape.PaddedVocabSize = 33
	m, err := New(shape, dev, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	dir := filepath.Join(t.TempDir(), "fp32")
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
	if weights == "fp32" {
		return dir
	}
	narrow := opened(t, dir, dev, weights)
	defer narrow.Close()
	to := filepath.Join(t.TempDir(), weights)
	if err := narrow.Save(to); err != nil {
		t.Fatal(err)
	}
	return to
}

func openReference(t testing.TB) device.Device {
	t.Helper()
	dev, err := reference.Open(device.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// elsewhere is a device that cannot use memory of the host.
type elsewhere struct{ device.Device }

func (e elsewhere) Info() device.Info {
	i := e.Device.Info()
	i.InPlace = false
	return i
}

func opened(t testing.TB, dir string, dev device.Device, weights string) *Model {
	t.Helper()
	m, err := OpenWith(dir, dev, OpenOptions{Weights: weights})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// batchOf is some sequences of the tiny model's ids.
func batchOf() Batch {
	ids := []int32{3, 1, 4, 1, 5, 9, 2, 6}
	return Pack([]Sequence{{IDs: ids, Labels: ids}, {IDs: ids[2:5], Labels: ids[2:5]}})
}

func logits(t testing.TB, m *Model) []float32 {
	t.Helper()
	y, err := m.Logits(batchOf())
	if err != nil {
		t.Fatal(err)
	}
	return y
}

// decoded replaces a narrow weight by the float32 numbers that it means.
func decoded(t testing.TB, m *Model) {
	t.Helper()
	for _, p := range m.params {
		if w := p.W; w.Format != device.F32 {
			o, i := p.Shape[0], p.Shape[1]
			row, scales := w.Format.Row(i), w.Format.Scales(i)
			p.W, p.block = device.Matrix{}, nil
			if err := place(m.dev, []*Param{p}); err != nil {
				t.Fatal(err)
			}
			var all []float32
			if scales > 0 {
				all = w.Scales.Floats()
			}
			for r := range o {
				w.Format.Decode(p.Tensor().Floats()[r*i:(r+1)*i], w.Data.Host[r*row:(r+1)*row], all[r*scales:(r+1)*scales])
			}
		}
	}
}

// TestPlaceDoesNotMatter: weights in a file's memory, copied, and on a device of
// its own give the same bits.
func TestPlaceDoesNotMatter(t *testing.T) {
	for _, format := range []string{"fp32", "bf16", "fp16", "int8", "int4"} {
		t.Run(format, func(t *testing.T) {
			dir := saved(t, format)
			mapped, copied := opened(t, dir, openReference(t), "stored"), opened(t, dir, elsewhere{openReference(t)}, "stored")
			defer mapped.Close()
			defer copied.Close()
			if mapped.files == nil || copied.files != nil {
				t.Error("one is to be in place, the other not")
			}
			want := logits(t, mapped)
			if !slices.Equal(want, logits(t, copied)) {
				t.Error("copied weights give other scores than mapped ones")
			}
			decoded(t, mapped)
			if got := logits(t, mapped); !slices.Equal(want, got) {
				t.Error("the float32 numbers that the weights mean give other scores")
			}
			for _, again := range []string{"", format} {
				m := opened(t, dir, openReference(t), again)
				got := logits(t, m)
				m.Close()
				if !slices.Equal(want, got) {
					t.Errorf("opened as %q: other scores", again)
				}
			}
		})
	}
}

// TestFilesKeepTheirBytes: a narrow model is saved as it was read.
func TestFilesKeepTheirBytes(t *testing.T) {
	for _, format := range []string{"bf16", "fp16", "int8", "int4"} {
		first := saved(t, format)
		m := opened(t, first, elsewhere{openReference(t)}, "stored")
		second := t.TempDir()
		if err := m.Save(second); err != nil {
			t.Fatal(err)
		}
		m.Close()
		for _, name := range []string{"model.safetensors", "config.json"} {
			a, errA := os.ReadFile(filepath.Join(first, name))
			b, errB := os.ReadFile(filepath.Join(second, name))
			if err := errors.Join(errA, errB); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(a, b) {
				t.Errorf("%s: %s changed when it was saved again", format, name)
			}
		}
	}
	m := opened(t, saved(t, "fp32"), openReference(t), "nf4")
	defer m.Close()
	if err := m.Save(t.TempDir()); err == nil || !strings.Contains(err.Error(), "int4") {
		t.Errorf("nf4 saved: %v", err)
	}
}

// TestInPlaceTrainingLeavesTheFile: full fine-tuning of mapped weights changes
// memory alone.
func TestInPlaceTrainingLeavesTheFile(t *testing.T) {
	dir := saved(t, "fp32")
	before, err := os.ReadFile(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	m := opened(t, dir, openReference(t), "fp32")
	if err := m.TrainAll(); err != nil {
		t.Fatal(err)
	}
	for _, p := range m.params {
		m.dev.Zero(p.W.Data)
	}
	m.Close()
	after, err := os.ReadFile(filepath.Join(dir, "model.safetensors"))
	if err != nil || !slices.Equal(before, after) {
		t.Errorf("the file changed (%v)", err)
	}
}

// TestGradientsThroughNarrowWeights: adapters on narrow weights get the
// gradients that they get on the numbers that those mean, which other tests
// hold to finite differences; what is quantised cannot be trained or merged.
func TestGradientsThroughNarrowWeights(t *testing.T) {
	dir := saved(t, "fp32")
	for _, format := range []string{"bf16", "fp16", "int8", "int4", "nf4"} {
		t.Run(format, func(t *testing.T) {
			gradients := func(m *Model) (float64, []float32) {
				if err := m.AddLoRA(LoRAConfig{Rank: 3, Targets: []string{"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"}}, 5); err != nil {
					t.Fatal(err)
				}
				var all []float32
				for _, p := range m.Trainable() {
					for i := range p.Tensor().Floats() {
						p.Tensor().Floats()[i] += device.Uniform(7, uint64(i)) - 0.5
					}
				}
				nll, _, err := accumulate(m, batchOf(), 1, 0)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range m.Trainable() {
					all = append(all, p.Grad.Floats()...)
				}
				return nll, all
			}
			m := opened(t, dir, openReference(t), format)
			defer m.Close()
			if err := m.TrainAll(); format != "bf16" && (err == nil || !strings.Contains(err.Error(), "weights fp32") || len(m.Trainable()) > 0) {
				t.Errorf("full fine-tuning of %s: %v", format, err)
			} else if format == "bf16" && err != nil {
				t.Errorf("full fine-tuning of %s: %v", format, err)
			}
			m.Freeze()
			nll, got := gradients(m)
			wide := opened(t, dir, openReference(t), format)
			defer wide.Close()
			decoded(t, wide)
			wantLoss, want := gradients(wide)
			if nll != wantLoss || !slices.Equal(got, want) {
				t.Errorf("loss %v and gradients differ from those on decoded weights, loss %v", nll, wantLoss)
			}
			// Merged is what the decoded weights become, rounded.
			err := m.Merge()
			if quantised := format == "int8" || format == "int4" || format == "nf4"; quantised {
				if err == nil || !strings.Contains(err.Error(), "weights fp32") {
					t.Errorf("merge into %s: %v", format, err)
				}
				return
			}
			if err := errors.Join(err, wide.Merge()); err != nil {
				t.Fatal(err)
			}
			for i, p := range m.params {
				whole := wide.params[i].Tensor().Floats()
				row := make([]byte, p.W.Format.Row(len(whole)))
				p.W.Format.Encode(row, nil, whole)
				if !slices.Equal(row, p.W.Data.Host) {
					t.Errorf("%s: merged weights are not the rounded ones", p.Name)
				}
			}
		})
	}
}

// TestQuantisedDirectoriesAreChecked: what a header claims is compared with the
// configuration before anything is allocated.
func TestQuantisedDirectoriesAreChecked(t *testing.T) {
	name := layerName(0, "mlp.dense_4h_to_h.weight")
	for what, c := range map[string]struct {
		change func(o *safetensors.Output)
		want   string
	}{
		"scales too few": {func(o *safetensors.Output) { o.Shape = []int{31} }, "one scale for each of 32 rows"},
		"not finite": {func(o *safetensors.Output) {
			o.Read = func(dst []float32) error { dst[3] = float32(math.NaN()); return nil }
		}, "scale of row 3"},
		"scale elsewhere": {func(o *safetensors.Output) { o.Name += "s" }, "no \"" + name + "_scale\""},
	} {
		dir := saved(t, "int8")
		files, err := safetensors.Open(filepath.Join(dir, "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		var out []safetensors.Output
		for _, x := range files.Tensors() {
			o := safetensors.Output{Name: x.Name, Shape: x.Shape, DType: x.DType}
			values := make([]float32, x.Len())
			raw := make([]byte, x.Bytes())
			if err := errors.Join(files.Read(x.Name, values), files.ReadBytes(x.Name, raw, 0)); err != nil {
				t.Fatal(err)
			}
			if o.Read = func(dst []float32) error { copy(dst, values); return nil }; x.DType == safetensors.I8 {
				o.Stream = streamed(raw)
			}
			if x.Name == name+"_scale" {
				c.change(&o)
			}
			out = append(out, o)
		}
		files.Close()
		if err := safetensors.CreateDir(dir, out); err != nil {
			t.Fatal(err)
		}
		if m, err := Open(dir, openReference(t)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", what, err, c.want)
			if m != nil {
				m.Close()
			}
		}
	}
	if _, err := OpenWith(saved(t, "fp32"), openReference(t), OpenOptions{Weights: "int3"}); err == nil || !strings.Contains(err.Error(), "int4") {
		t.Errorf("weights int3: %v", err)
	}
}

// FuzzOpen changes a small quantised checkpoint: opening it works or is an
// error.
func FuzzOpen(f *testing.F) {
	for _, format := range []string{"fp32", "bf16", "int8", "int4"} {
		dir := saved(f, format)
		b, err := os.ReadFile(filepath.Join(dir, "model.safetensors"))
		if err != nil {
			f.Fatal(err)
		}
		n := binary.LittleEndian.Uint64(b)
		f.Add(b[8:8+n], uint32(len(b)-8-int(n)), format)
	}
	config, err := os.ReadFile(filepath.Join(saved(f, "fp32"), "config.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header []byte, data uint32, weights string) {
		dir := t.TempDir()
		file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
		file = append(file, make([]byte, data%(1<<20))...)
		if err := errors.Join(os.WriteFile(filepath.Join(dir, "model.safetensors"), file, 0o600), os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600)); err != nil {
			t.Fatal(err)
		}
		m, err := OpenWith(dir, openReference(t), OpenOptions{Weights: weights})
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			return
		}
		m.Close()
	})
}

func streamed(raw []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(raw); return err }
}
