package chatglm_test

import (
	"errors"
	"math"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/reference"
)

// remote computes on the reference device and looks like one with memory of its
// own: there is no Host, downloads arrive with Sync, memory is counted, freeing
// twice or using what was freed panics, and the n-th Alloc or Sync can fail.
type remote struct {
	on      device.Device
	blocks  map[uint64]device.Mem // by number; block n begins at address n·2⁴⁰
	last    uint64
	arrive  []func() // downloads under way
	allocs  int
	syncs   int
	noAlloc int // number of the Alloc that fails, 0 for none
	noSync  int // number of the Sync that fails, and of all after it
}

var (
	errFull  = errors.New("the device's memory is full")
	errFault = errors.New("the device is broken")
)

func newRemote(t testing.TB) *remote {
	t.Helper()
	on, err := reference.Open(device.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	return &remote{on: on, blocks: map[uint64]device.Mem{}}
}

const blockShift = 40

// at finds the memory behind an address.
func (r *remote) at(m device.Mem) device.Mem {
	if m.Empty() {
		return m
	}
	if m.Host != nil {
		panic("remote: memory of another device")
	}
	block, ok := r.blocks[m.Addr>>blockShift]
	if !ok {
		panic("remote: memory that is not allocated")
	}
	from := int(m.Addr&(1<<blockShift-1)) / 4
	return block.Slice(from, from+m.N)
}

// matrix finds the memory behind a matrix.
func (r *remote) matrix(w device.Matrix) device.Matrix {
	here := device.Matrix{Format: w.Format, Floats: r.at(w.Floats), Scales: r.at(w.Scales)}
	if w.Raw.N > 0 {
		if w.Raw.Host != nil {
			panic("remote: bytes of another device")
		}
		block, ok := r.blocks[w.Raw.Addr>>blockShift]
		if !ok {
			panic("remote: bytes that are not allocated")
		}
		from := int(w.Raw.Addr & (1<<blockShift - 1))
		here.Raw = block.Bytes(4*block.N).Slice(from, from+w.Raw.N)
	}
	return here
}

func (r *remote) Alloc(n int) (device.Mem, error) {
	if r.allocs++; r.allocs == r.noAlloc {
		return device.Mem{}, errFull
	}
	block, err := r.on.Alloc(n)
	if err != nil || n == 0 {
		return device.Mem{}, err
	}
	r.last++
	r.blocks[r.last] = block
	return device.Mem{Addr: r.last << blockShift, N: n}, nil
}

func (r *remote) Free(m device.Mem) {
	if m.Empty() {
		return
	}
	block := r.at(m)
	if n := m.Addr >> blockShift; block.N != r.blocks[n].N {
		panic("remote: freeing a part")
	}
	for i := range block.Host { // whoever kept a slice of it will notice
		block.Host[i] = float32(math.NaN())
	}
	delete(r.blocks, m.Addr>>blockShift)
}

func (r *remote) Download(dst []float32, src device.Mem) {
	copied := make([]float32, len(dst))
	r.on.Download(copied, r.at(src))
	for i := range dst {
		dst[i] = float32(math.NaN())
	}
	r.arrive = append(r.arrive, func() { copy(dst, copied) })
}

func (r *remote) Sync() error {
	r.syncs++
	if r.noSync > 0 && r.syncs >= r.noSync {
		return errFault
	}
	for _, f := range r.arrive {
		f()
	}
	r.arrive = nil
	return nil
}

func (r *remote) SumSquares(x device.Mem) float64 {
	_ = r.Sync() // a fault comes again with the next one
	return r.on.SumSquares(r.at(x))
}

func (r *remote) Info() device.Info {
	i := r.on.Info()
	i.InPlace = false
	return i
}

func (r *remote) Close() error                       { return r.on.Close() }
func (r *remote) Upload(dst device.Mem, s []float32) { r.on.Upload(r.at(dst), s) }
func (r *remote) Zero(dst device.Mem)                { r.on.Zero(r.at(dst)) }
func (r *remote) Copy(dst, src device.Mem)           { r.on.Copy(r.at(dst), r.at(src)) }

func (r *remote) Embed(y device.Mem, table device.Matrix, ids []int32, h int) {
	r.on.Embed(r.at(y), r.matrix(table), ids, h)
}

func (r *remote) EmbedBackward(dtable, dy device.Mem, ids []int32, h int) {
	r.on.EmbedBackward(r.at(dtable), r.at(dy), ids, h)
}

func (r *remote) RMSNorm(y, rstd, x, res, w device.Mem, m, h int, eps float32) {
	r.on.RMSNorm(r.at(y), r.at(rstd), r.at(x), r.at(res), r.at(w), m, h, eps)
}

func (r *remote) RMSNormBackward(dx, dw, dy, x, w, rstd device.Mem, m, h int) {
	r.on.RMSNormBackward(r.at(dx), r.at(dw), r.at(dy), r.at(x), r.at(w), r.at(rstd), m, h)
}

func (r *remote) linear(l *device.Linear) *device.Linear {
	here := *l
	here.W, here.Bias = r.matrix(l.W), r.at(l.Bias)
	if l.LoRA != nil {
		a := *l.LoRA
		a.A, a.B, a.U = r.at(a.A), r.at(a.B), r.at(a.U)
		here.LoRA = &a
	}
	return &here
}

func (r *remote) Linear(y, x device.Mem, m int, l *device.Linear) {
	r.on.Linear(r.at(y), r.at(x), m, r.linear(l))
}

func (r *remote) LinearBackward(dx, dy, x device.Mem, m int, l *device.Linear, g *device.LinearGrad) {
	r.on.LinearBackward(r.at(dx), r.at(dy), r.at(x), m, r.linear(l), &device.LinearGrad{
		W: r.at(g.W), Bias: r.at(g.Bias), A: r.at(g.A), B: r.at(g.B), DU: r.at(g.DU),
	})
}

func (r *remote) Rotary(qkv device.Mem, pos []int32, s device.Heads, inverse bool) {
	r.on.Rotary(r.at(qkv), pos, s, inverse)
}

func (r *remote) prefix(p *device.Prefix) *device.Prefix {
	if p == nil {
		return nil
	}
	here := *p
	here.K, here.V = r.at(p.K), r.at(p.V)
	return &here
}

func (r *remote) Attention(o, lse, qkv device.Mem, starts []int32, s device.Heads, p *device.Prefix) {
	r.on.Attention(r.at(o), r.at(lse), r.at(qkv), starts, s, r.prefix(p))
}

func (r *remote) AttentionBackward(dqkv, do, o, lse, qkv device.Mem, starts []int32, s device.Heads, p, dp *device.Prefix) {
	r.on.AttentionBackward(r.at(dqkv), r.at(do), r.at(o), r.at(lse), r.at(qkv), starts, s, r.prefix(p), r.prefix(dp))
}

func (r *remote) AttentionCached(o, qkv device.Mem, c device.Cache, slots, past, starts []int32, s device.Heads, p *device.Prefix) {
	c.K, c.V = r.at(c.K), r.at(c.V)
	r.on.AttentionCached(r.at(o), r.at(qkv), c, slots, past, starts, s, r.prefix(p))
}

func (r *remote) SwiGLU(z, u device.Mem, m, f int) { r.on.SwiGLU(r.at(z), r.at(u), m, f) }

func (r *remote) SwiGLUBackward(du, dz, u device.Mem, m, f int) {
	r.on.SwiGLUBackward(r.at(du), r.at(dz), r.at(u), m, f)
}

func (r *remote) CrossEntropy(loss, dx, dw, x device.Mem, w device.Matrix, targets []int32, m, h, v int, scale float32, g device.Goal) {
	g.Base = r.at(g.Base)
	r.on.CrossEntropy(r.at(loss), r.at(dx), r.at(dw), r.at(x), r.matrix(w), targets, m, h, v, scale, g)
}

func (r *remote) Tanh(y, x device.Mem)              { r.on.Tanh(r.at(y), r.at(x)) }
func (r *remote) TanhBackward(dx, dy, y device.Mem) { r.on.TanhBackward(r.at(dx), r.at(dy), r.at(y)) }

func (r *remote) Dropout(y, x device.Mem, p float32, seed uint64) {
	r.on.Dropout(r.at(y), r.at(x), p, seed)
}

func (r *remote) Noise(x device.Mem, a float32, seed uint64) { r.on.Noise(r.at(x), a, seed) }

func (r *remote) Axpy(y device.Mem, a float32, x device.Mem) { r.on.Axpy(r.at(y), a, r.at(x)) }
func (r *remote) Scale(x device.Mem, a float32)              { r.on.Scale(r.at(x), a) }

func (r *remote) moment(m device.Moment) device.Moment {
	return device.Moment{V: r.at(m.V), Scale: r.at(m.Scale)}
}

func (r *remote) AdamW(p, g device.Mem, m, v device.Moment, s device.AdamW) {
	r.on.AdamW(r.at(p), r.at(g), r.moment(m), r.moment(v), s)
}

func (r *remote) SGD(p, g device.Mem, m device.Moment, s device.SGD) {
	r.on.SGD(r.at(p), r.at(g), r.moment(m), s)
}

func (r *remote) Lion(p, g device.Mem, m device.Moment, s device.Lion) {
	r.on.Lion(r.at(p), r.at(g), r.moment(m), s)
}
