package devicetest

import (
	"fmt"
	"math/rand/v2"

	"github.com/glmflow/glmflow/gpu/device"
)

// A block is an allocation, in the inner device's memory.
type block struct {
	mem   device.Mem
	freed bool
}

// blockShift is where a block's number begins in an address.
const blockShift = 40

// find is the block that m lies in, and where.
func (d *deferring) find(m device.Mem) (b *block, from uint64) {
	if m.Host != nil {
		panic("devicetest: memory of the host, or of a device on it")
	}
	b = d.blocks[m.Addr>>blockShift]
	from = m.Addr & (1<<blockShift - 1)
	switch {
	case b == nil || from+uint64(m.N) > uint64(b.mem.N):
		panic(fmt.Sprintf("devicetest: %d bytes at %#x are not this device's", m.N, m.Addr))
	case b.freed:
		panic(fmt.Sprintf("devicetest: %d bytes at %#x were freed", m.N, m.Addr))
	}
	return b, from
}

// full reports whether this is the allocation that is to fail.
func (d *deferring) full() bool {
	d.counts.Allocs++
	if d.failAlloc == 0 {
		return false
	}
	d.failAlloc--
	return d.failAlloc == 0
}

// take has the inner device take memory; what waits to be freed is, when there
// is no other.
func (d *deferring) take(try func() error) error {
	if d.full() {
		return ErrFull
	}
	err := try()
	if err != nil && len(d.queue) > 0 {
		d.drain()
		err = try()
	}
	return err
}

// Alloc takes zeros at an address that no other block has, nor one of another
// device: it is drawn, and nothing depends on it.
func (d *deferring) Alloc(n int) (m device.Mem, err error) {
	d.handOver(func() {
		b := &block{}
		err = d.take(func() (err error) {
			b.mem, err = d.inner.Alloc(n)
			return err
		})
		if err != nil || n == 0 {
			return
		}
		number := uint64(0)
		for number == 0 || d.blocks[number] != nil {
			number = rand.Uint64N(1 << (64 - blockShift))
		}
		d.blocks[number] = b
		d.live++
		m = device.Mem{Addr: number << blockShift, N: n}
	})
	return m, err
}

// Free gives back what Alloc returned, at the call for its caller, and after the
// operators so far for them.
func (d *deferring) Free(m device.Mem) {
	if m.Empty() {
		return
	}
	d.handOver(func() {
		b, from := d.find(m)
		if from != 0 || m.N != b.mem.N {
			panic("devicetest: freeing a part of an allocation")
		}
		b.freed = true
		d.live--
		free := func() {
			d.inner.Upload(b.mem, d.poison(b.mem.N))
			d.inner.Free(b.mem)
		}
		if d.fault != nil { // nothing is done any more, but memory is not lost
			free()
			return
		}
		d.push(entry{run: free, touches: []touch{{b, 0, uint64(m.N)}}})
	})
}

// Available counts what waits to be freed as free.
func (d *deferring) Available() (n int64) {
	d.handOver(func() {
		d.drain()
		n = d.inner.Available()
	})
	return n
}

// Workspace is the inner device's.
func (d *deferring) Workspace(b device.Bounds) (n int64) {
	d.handOver(func() { n = d.inner.Workspace(b) })
	return n
}

// Reserve is the inner device's.
func (d *deferring) Reserve(b device.Bounds) (err error) {
	d.handOver(func() { err = d.take(func() error { return d.inner.Reserve(b) }) })
	return err
}

// Upload reads src with Sync.
func (d *deferring) Upload(dst device.Mem, src []byte) {
	d.handOver(func() {
		d.counts.Uploads++
		r := &recorder{d: d}
		to := r.mem(dst)
		d.push(entry{transfer: true, touches: r.touches, run: func() { d.inner.Upload(to, src) }})
	})
}

// Download makes dst NaNs until Sync.
func (d *deferring) Download(dst []byte, src device.Mem) {
	d.handOver(func() {
		d.counts.Downloads++
		r := &recorder{d: d}
		from := r.mem(src)
		poison(dst, 0)
		d.push(entry{transfer: true, touches: r.touches, run: func() {
			staged := make([]byte, len(dst))
			d.inner.Download(staged, from)
			d.arrive = append(d.arrive, func() { copy(dst, staged) })
		}})
	})
}

// Zero clears dst.
func (d *deferring) Zero(dst device.Mem) {
	d.launch(func(r *recorder) func() {
		dst := r.output(dst)
		return func() { d.inner.Zero(dst) }
	})
}

// Copy copies and converts.
func (d *deferring) Copy(dst, src device.Tensor) {
	d.launch(func(r *recorder) func() {
		dst, src := r.out(dst), r.in(src)
		return func() { d.inner.Copy(dst, src) }
	})
}

// Swap exchanges.
func (d *deferring) Swap(a, b device.Mem) {
	d.launch(func(r *recorder) func() {
		a, b := r.mem(a), r.mem(b)
		return func() { d.inner.Swap(a, b) }
	})
}
