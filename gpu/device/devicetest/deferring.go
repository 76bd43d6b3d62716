package devicetest

import (
	"errors"
	"math/rand/v2"

	"github.com/glmflow/glmflow/gpu/device"
)

// A DeferringDevice computes on another device and behaves as one that has a
// queue and memory of its own, at its most inconvenient:
//
//   - Memory has addresses and no host slices. That of other devices, and what
//     was freed, panics at the call; what was freed is overwritten, too.
//   - Nothing happens before Sync. Sources of Upload and Prepare are read then, and
//     destinations of Download hold NaNs until it returns.
//   - Transfers change places, by a seed, with operators that have nothing to do
//     with them.
//   - What an operator assigns holds NaNs before it runs.
//   - It belongs to one thread; calls from elsewhere are handed over.
//   - It can be made to fail.
type DeferringDevice struct {
	device.Device // checks arguments and has the rest done by
	on            *deferring
}

var (
	// ErrFull is what the Alloc returns that [DeferringDevice.FailAlloc] is about.
	ErrFull = errors.New("deferring device: the memory is full, as a test wants it")
	// ErrFault is what the Sync returns that [DeferringDevice.FailSync] is about.
	ErrFault = errors.New("deferring device: broken, as a test wants it")
)

// Deferring is a device that has inner compute, which it owns from now on.
func Deferring(inner device.Device) *DeferringDevice {
	d := &deferring{inner: inner, thread: newThread(), blocks: map[uint64]*block{}, rand: rand.New(rand.NewPCG(1, 1))}
	return &DeferringDevice{Device: device.Checked(d), on: d}
}

// Counts is how often a device was asked for what costs.
type Counts struct {
	Allocs    int // Alloc, NewPass and Reserve
	Syncs     int
	Launches  int // operators, Zero, Copy and Swap, too
	Uploads   int
	Downloads int
	Prepares  int
	Handovers int // calls from other threads than the device's, a Do is one
}

// Counts are those since the device was made.
func (d *DeferringDevice) Counts() (c Counts) {
	d.on.thread.do(func() { c = d.on.counts })
	return c
}

// Live is how many allocations and passes have not been given back.
func (d *DeferringDevice) Live() (n int) {
	d.on.thread.do(func() { n = d.on.live })
	return n
}

// Shuffle makes another seed decide when transfers happen; 1 is the first.
func (d *DeferringDevice) Shuffle(seed uint64) {
	d.on.thread.do(func() { d.on.rand = rand.New(rand.NewPCG(seed, 1)) })
}

// FailAlloc makes the n-th Alloc, NewPass or Reserve from now on fail with
// [ErrFull], and no other; 0 is none.
func (d *DeferringDevice) FailAlloc(n int) {
	d.on.thread.do(func() { d.on.failAlloc = n })
}

// FailSync makes the n-th Sync from now on fail with [ErrFault], and every one
// after it: the operators before it and after are not done. 0 is none.
func (d *DeferringDevice) FailSync(n int) {
	d.on.thread.do(func() { d.on.failSync = n })
}

// deferring is the backend.
type deferring struct {
	inner  device.Device
	thread *thread
	rand   *rand.Rand
	blocks map[uint64]*block // by address, without the lower bits

	queue  []entry
	arrive []func() // what has come of downloads, on its way to the host
	nans   []byte   // poison, as long as it was needed so far

	counts              Counts
	live                int
	failAlloc, failSync int // calls until then, 0 for never
	fault               error
	closed              bool
}

var _ device.Device = (*deferring)(nil)

// Info is the inner device's, but that nothing is computed where the host has it.
func (d *deferring) Info() (i device.Info) {
	d.thread.do(func() { i = d.inner.Info() })
	i.Name += ", deferred"
	i.InPlace = false
	return i
}

// Close gives up what waits, and closes the inner device.
func (d *deferring) Close() (err error) {
	d.thread.do(func() {
		if !d.closed {
			d.closed, d.queue, d.arrive = true, nil, nil
			err = d.inner.Close()
		}
	})
	d.thread.stop()
	return err
}

// Do runs f on the device's thread.
func (d *deferring) Do(f func() error) (err error) {
	d.handOver(func() { err = f() })
	return err
}

// handOver runs f on the device's thread, and counts that it was elsewhere.
func (d *deferring) handOver(f func()) {
	elsewhere := !d.thread.here()
	d.thread.do(func() {
		if elsewhere {
			d.counts.Handovers++
		}
		f()
	})
}
