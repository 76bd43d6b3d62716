package chatglm

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

// passes counts how many tokens went through the network, and how many steps
// needed nothing from the host.
type passes struct {
	device.Device
	tokens, advanced int
}

func (p *passes) Embed(y device.Tensor, table device.Matrix, of *device.Pass, h int) {
	p.tokens += of.M
	p.Device.Embed(y, table, of, h)
}

func (p *passes) Advance(of *device.Pass, ids device.Ints) {
	p.advanced++
	p.Device.Advance(of, ids)
}

// TestPromptsThatBeginAlikeShareTheirPages: what prompts have in common is
// computed once, in whole pages, and their answers are those that they get alone.
func TestPromptsThatBeginAlikeShareTheirPages(t *testing.T) {
	dev := &passes{Device: newReference(t)}
	m := tiny(t, dev, nil)
	r := rand.New(rand.NewPCG(8, 8))
	const page = device.PagePositions
	common := randomSequence(r, 2*page+7, m.cfg.PaddedVocabSize).IDs
	asked := [][]int32{
		common,
		slices.Concat(common, []int32{5, 6, 7}), // shares two pages
		common[:page],                           // shares none: its last id is its own
		slices.Concat(common[:page+9], []int32{9, 9}), // shares one
		{1, 2, 3},
		slices.Clone(common), // the same prompt again
	}
	o := GenerateOptions{MaxNew: 5, TopLogprobs: 2}
	together := generate(t, m, asked, o)
	tokens := dev.tokens
	for i, prompt := range asked {
		if alone := generate(t, m, [][]int32{prompt}, o)[0]; !slices.Equal(alone.IDs(), together[i].IDs()) {
			t.Errorf("prompt %d: %v together with others, %v alone", i, together[i].IDs(), alone.IDs())
		}
	}
	whole := 0
	for _, p := range asked {
		whole += len(p)
	}
	if want := whole - (2+0+1+2)*page + 4*len(asked); tokens != want {
		t.Errorf("%d tokens went through the network, want %d", tokens, want)
	}
	if dev.advanced == 0 {
		t.Error("no step of an answer was made on the device alone")
	}
}

// TestPagesAreGivenBack: what a prompt held is free when it ends, and what others
// hold, too, is not.
func TestPagesAreGivenBack(t *testing.T) {
	dev := newReference(t)
	c := newPages(dev, 1, device.Heads{A: 1, G: 1, D: 2})
	defer c.close()
	if err := c.reserve(3); err != nil {
		t.Fatal(err)
	}
	first := []int32{c.take(), c.take()}
	second := []int32{c.share(first[0]), c.take()}
	c.drop(first)
	if len(c.free) != 1 || c.free[0] != first[1] {
		t.Errorf("pages %v are free, want only %d", c.free, first[1])
	}
	if err := c.reserve(1); err != nil || len(c.holds) != 3 {
		t.Errorf("%d pages, though one was free (%v)", len(c.holds), err)
	}
	c.drop(second)
	if len(c.free) != 3 {
		t.Errorf("%d of 3 pages are free", len(c.free))
	}
}
