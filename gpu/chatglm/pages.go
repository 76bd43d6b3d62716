package chatglm

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

// pages are a key/value cache cut into pages of [device.PagePositions] positions,
// each for all layers. A page may be held by several prompts that begin alike;
// it is free when none holds it any more.
type pages struct {
	dev   device.Device
	line  int            // numbers of a position
	cache []device.Cache // of each layer
	holds []int          // of each page, how many prompts hold it
	free  []int32
}

func newPages(dev device.Device, layers int, s device.Heads) *pages {
	return &pages{dev: dev, line: s.G * s.D, cache: make([]device.Cache, layers)}
}

func (c *pages) close() {
	for _, layer := range c.cache {
		c.dev.Free(layer.K.Mem)
		c.dev.Free(layer.V.Mem)
	}
}

// pagesOf is how many pages a number of positions takes.
func pagesOf(positions int) int {
	return (positions + device.PagePositions - 1) / device.PagePositions
}

// reserve has n pages free. It asks for half as many again as there were, so that
// a long answer is seldom copied, and for one layer at a time, so that little is
// there twice.
func (c *pages) reserve(n int) error {
	have := len(c.holds)
	need := have + n - len(c.free)
	if need <= have {
		return nil
	}
	grown := max(need, have+have/2)
	size := device.PagePositions * c.line
	format := c.dev.Info().Activations
	for i, old := range c.cache {
		if old.K.N >= grown*size {
			continue // by an earlier call that failed half-way
		}
		k, err := device.NewTensor(c.dev, format, grown*size)
		if err != nil {
			return fmt.Errorf("cache of %d pages of %d positions: %w", grown, device.PagePositions, err)
		}
		v, err := device.NewTensor(c.dev, format, grown*size)
		if err != nil {
			c.dev.Free(k.Mem)
			return fmt.Errorf("cache of %d pages of %d positions: %w", grown, device.PagePositions, err)
		}
		if have > 0 {
			c.dev.Copy(k.Slice(0, have*size), old.K.Slice(0, have*size))
			c.dev.Copy(v.Slice(0, have*size), old.V.Slice(0, have*size))
		}
		c.dev.Free(old.K.Mem)
		c.dev.Free(old.V.Mem)
		c.cache[i] = device.Cache{K: k, V: v}
	}
	for page := grown - 1; page >= have; page-- {
		c.free = append(c.free, int32(page))
	}
	c.holds = append(c.holds, make([]int, grown-have)...)
	return nil
}

// take gives a free page to a prompt.
func (c *pages) take() int32 {
	page := c.free[len(c.free)-1]
	c.free = c.free[:len(c.free)-1]
	c.holds[page] = 1
	return page
}

// share lets another prompt hold a page.
func (c *pages) share(page int32) int32 {
	c.holds[page]++
	return page
}

// drop lets go of pages.
func (c *pages) drop(all []int32) {
	for _, page := range all {
		if c.holds[page]--; c.holds[page] == 0 {
			c.free = append(c.free, page)
		}
	}
}
