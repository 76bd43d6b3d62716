package chatglm

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestInit: every format holds the same numbers, as its encoding rounds them;
// they have the deviation that they should.
func TestInit(t *testing.T) {
	c, _ := Shape("tiny")
	made := map[string]string{}
	for _, format := range InitFormats() {
		dir := filepath.Join(t.TempDir(), format)
		var last, total int64
		if err := Init(context.Background(), dir, c, InitOptions{Format: format, Seed: 5, OnProgress: func(d, n int64) { last, total = d, n }}); err != nil {
			t.Fatal(err)
		}
		if last != total || total == 0 {
			t.Errorf("%s: progress ends at %d of %d", format, last, total)
		}
		made[format] = dir
		if got, err := StoredFormat(dir); err != nil || got != format {
			t.Errorf("%s: stored as %q (%v)", format, got, err)
		}
	}
	base := opened(t, made["fp32"], openReference(t), "fp32")
	defer base.Close()
	for format, dir := range made {
		direct := opened(t, dir, openReference(t), "stored")
		if format != "int8" && format != "int4" { // their embeddings are fp16
			converted := opened(t, made["fp32"], openReference(t), format)
			if !slices.Equal(logits(t, direct), logits(t, converted)) {
				t.Errorf("%s: made and converted models differ", format)
			}
			converted.Close()
		}
		for _, p := range direct.params {
			if p.W.Format.Quantised() {
				want := make([]byte, len(p.W.Data.Host))
				scales := make([]float32, p.W.Scales.N)
				row := p.W.Format.Row(p.Shape[1])
				for r := range p.Shape[0] {
					p.W.Format.Encode(want[r*row:(r+1)*row], scales[r:r+1], named(base, p.Name).Tensor().Floats()[r*p.Shape[1]:(r+1)*p.Shape[1]])
				}
				if !slices.Equal(want, p.W.Data.Host) || !slices.Equal(scales, p.W.Scales.Floats()) {
					t.Errorf("%s: %s is not the encoding of the fp32 weight", format, p.Name)
				}
			}
		}
		direct.Close()
	}
	for _, p := range base.params {
		if len(p.Shape) != 2 {
			continue
		}
		sum, square := 0.0, 0.0
		for _, v := range p.Tensor().Floats() {
			sum += float64(v)
			square += float64(v) * float64(v)
		}
		n := float64(p.Len())
		if d := math.Sqrt(square/n) / c.deviation(p); math.Abs(d-1) > 5/math.Sqrt(n) || math.Abs(sum/n) > 5*c.deviation(p)/math.Sqrt(n) {
			t.Errorf("%s: mean %g, deviation %g times what it should be", p.Name, sum/n, d)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dir := filepath.Join(t.TempDir(), "cancelled")
	if err := Init(ctx, dir, c, InitOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func named(m *Model, name string) *Param {
	return m.params[slices.IndexFunc(m.params, func(p *Param) bool { return p.Name == name })]
}

// TestInitIsTheSameEverywhere: numbers that any machine must make.
func TestInitIsTheSameEverywhere(t *testing.T) {
	c, _ := Shape("tiny")
	w := &initWriter{config: c, options: InitOptions{Seed: 42}}
	var got [4]float32
	w.values(spec{embeddingName, []int{c.PaddedVocabSize, c.HiddenSize}})(got[:], 1<<40)
	want := [4]uint32{0xbbc7fd14, 0xbc085840, 0x3d0c4008, 0xbbe99ebe} // computed by hand, in Python
	for i := range got {
		if math.Float32bits(got[i]) != want[i] {
			t.Errorf("number %d is %#08x, want %#08x", i, math.Float32bits(got[i]), want[i])
		}
	}
}

// TestAHalfReplacedModelIsNone: weights of one model are never read by the
// configuration of another, though both have the same shapes.
func TestAHalfReplacedModelIsNone(t *testing.T) {
	dir := t.TempDir()
	c, _ := Shape("tiny")
	if err := Init(t.Context(), dir, c, InitOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c.RopeRatio = 50
	o := InitOptions{Seed: 1, OnProgress: func(done, total int64) {
		if done > total/2 {
			cancel()
		}
	}}
	if err := Init(ctx, dir, c, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want a cancelled one", err)
	}
	if _, err := ReadConfig(dir); err == nil || !strings.Contains(err.Error(), "model.safetensors and no config.json: writing it was interrupted") {
		t.Errorf("reading a half-replaced model: error %v, want a sentence", err)
	}
	if _, err := AdapterKind(dir); err == nil {
		t.Error("a half-replaced directory was taken for something")
	}
	if err := Init(t.Context(), dir, c, o); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadConfig(dir); err != nil || got.RopeRatio != 50 {
		t.Errorf("written again: rope_ratio %g, error %v", got.RopeRatio, err)
	}
}
