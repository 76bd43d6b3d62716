package reference

import (
	"unsafe"

	"github.com/glmflow/glmflow/gpu/device"
)

// batch is what the device keeps of a pass: a copy of its batch, with
// cu_seqlens whether they were given or not.
func batch(p *device.Pass) *device.Batch { return p.On.(*device.Batch) }

// sequence is the first row of sequence s, and how many there are.
func sequence(b *device.Batch, s int) (first, n int) {
	return int(b.CuSeqlens[s]), int(b.CuSeqlens[s+1] - b.CuSeqlens[s])
}

// NewPass takes room for batches within limits.
func (d *host) NewPass(l device.Limits) (*device.Pass, error) {
	if err := d.take(passBytes(l)); err != nil {
		return nil, err
	}
	return &device.Pass{Limits: l, On: &device.Batch{
		IDs:       make([]int32, 0, l.M),
		Positions: make([]int32, 0, l.M),
		CuSeqlens: make([]int32, 0, l.S+1),
		Targets:   make([]int32, 0, l.M),
		Weights:   make([]float32, 0, l.M),
		Rows:      make([]int32, 0, l.N),
		Adapters:  make([]int32, 0, l.S),
		Past:      make([]int32, 0, l.S),
		Pages:     make([]int32, 0, l.S*l.Pages),
		Sampling:  make([]device.Sampling, 0, l.S),
	}}, nil
}

// passBytes is what NewPass takes.
func passBytes(l device.Limits) int64 {
	one := int64(unsafe.Sizeof(device.Sampling{}))
	return 4*int64(4*l.M+l.N+l.S+1+2*l.S+l.S*l.Pages) + one*int64(l.S)
}

// FreePass leaves the pass to the garbage collector.
func (d *host) FreePass(p *device.Pass) {
	d.used -= passBytes(p.Limits)
	p.On = nil
}

// Prepare copies the batch.
func (d *host) Prepare(p *device.Pass, b device.Batch) {
	if len(b.CuSeqlens) == 0 {
		b.CuSeqlens = []int32{0, int32(p.M)}
	}
	c := batch(p)
	c.IDs = append(c.IDs[:0], b.IDs...)
	c.Positions = append(c.Positions[:0], b.Positions...)
	c.CuSeqlens = append(c.CuSeqlens[:0], b.CuSeqlens...)
	c.Targets = append(c.Targets[:0], b.Targets...)
	c.Weights = append(c.Weights[:0], b.Weights...)
	c.Rows = append(c.Rows[:0], b.Rows...)
	c.Adapters = append(c.Adapters[:0], b.Adapters...)
	c.Past = append(c.Past[:0], b.Past...)
	c.Pages = append(c.Pages[:0], b.Pages...)
	c.Sampling = append(c.Sampling[:0], b.Sampling...)
}

// Advance appends ids to the sequences. Where Sample found no token the answer
// goes on with token 0, which is as wrong as any, until the host has seen it.
func (d *host) Advance(p *device.Pass, ids device.Ints) {
	b := batch(p)
	for i, id := range ids.Host() {
		b.IDs[i] = max(id, 0)
		b.Positions[i]++
		b.Past[i]++
	}
}
