package devicetest

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

// TestDeferringConforms: the deferring device passes the suite itself, whenever
// its transfers happen.
func TestDeferringConforms(t *testing.T) {
	seed := uint64(0)
	Exercise(t, func(o device.Options) device.Device {
		seed++
		d := deferred(t, o)
		d.Shuffle(seed)
		return d
	}, FP32)
}

func deferred(t *testing.T, o device.Options) *DeferringDevice {
	t.Helper()
	return Deferring(openReference(t, o))
}

// newDeferred is one for the time of a test.
func newDeferred(t *testing.T) *DeferringDevice {
	t.Helper()
	d := deferred(t, device.Options{Workers: 1})
	t.Cleanup(func() { d.Close() })
	return d
}

// numbers is a tensor with values.
func numbers(t *testing.T, d device.Device, x ...float32) device.Tensor {
	t.Helper()
	y := alloc(t, d, 4*len(x)).Tensor(device.F32, len(x))
	d.Upload(y.Mem, device.Raw(slices.Clone(x)))
	return y
}

// read downloads and waits.
func read(t *testing.T, d device.Device, x device.Tensor) []float32 {
	t.Helper()
	y := make([]float32, x.N)
	d.Download(device.Raw(y), x.Mem)
	settle(t, d)
	return y
}

// panics is what f panics with, "" for nothing.
func panics(f func()) (message string) {
	defer func() {
		if p := recover(); p != nil {
			message, _ = p.(string)
		}
	}()
	f()
	return ""
}

// TestDownloadReadBeforeSync: a caller that reads what it downloads too early
// finds NaNs there, and the numbers after Sync.
func TestDownloadReadBeforeSync(t *testing.T) {
	d := newDeferred(t)
	x := numbers(t, d, 1, 2, 3)
	got := []float32{7, 7, 7}
	d.Download(device.Raw(got), x.Mem)
	for i, v := range got {
		if v == v {
			t.Errorf("before Sync, number %d is %g, want none", i, v)
		}
	}
	settle(t, d)
	if !slices.Equal(got, []float32{1, 2, 3}) {
		t.Errorf("after Sync: %g", got)
	}
}

// TestSourcesReusedBeforeSync: a caller that writes the next batch, or the next
// upload, into slices that the device has not read yet computes with the next
// ones.
func TestSourcesReusedBeforeSync(t *testing.T) {
	embed := func(spoil bool) []float32 {
		d := newDeferred(t)
		table := numbers(t, d, 10, 11, 12)
		p, err := d.NewPass(device.Limits{M: 2, S: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer d.FreePass(p)
		ids, y := []int32{0, 1}, numbers(t, d, 0, 0)
		d.Prepare(p, device.Batch{IDs: ids})
		d.Embed(y, device.Dense(table), p, 1)
		if spoil {
			ids[0] = 2
		}
		return read(t, d, y)
	}
	if got := embed(false); !slices.Equal(got, []float32{10, 11}) {
		t.Errorf("with its source kept, a batch gives %g", got)
	}
	if got := embed(true); !slices.Equal(got, []float32{12, 11}) {
		t.Errorf("with its source reused, a batch gives %g: nobody would notice", got)
	}
	upload := func(spoil bool) []float32 {
		d := newDeferred(t)
		x, src := numbers(t, d, 0), []float32{1}
		d.Upload(x.Mem, device.Raw(src))
		if spoil {
			src[0] = 2
		}
		return read(t, d, x)
	}
	if kept, reused := upload(false), upload(true); kept[0] != 1 || reused[0] != 2 {
		t.Errorf("uploads with their source kept and reused: %g and %g", kept, reused)
	}
}

// TestMemoryThatIsNotThere: what was freed, whatever is another device's, and
// passes alike panic where they are used.
func TestMemoryThatIsNotThere(t *testing.T) {
	d, other := newDeferred(t), newDeferred(t)
	x, y, theirs := numbers(t, d, 1, 2), numbers(t, d, 1, 2), numbers(t, other, 1, 2)
	gone, err := device.NewTensor(d, device.F32, 2)
	if err != nil {
		t.Fatal(err)
	}
	d.Upload(gone.Mem, device.Raw([]float32{1, 2}))
	d.Axpy(x, 1, gone)
	d.Free(gone.Mem)
	pass, err := d.NewPass(device.Limits{M: 1, S: 1})
	if err != nil {
		t.Fatal(err)
	}
	d.Prepare(pass, device.Batch{IDs: []int32{0}})
	freed, err := d.NewPass(device.Limits{M: 1, S: 1})
	if err != nil {
		t.Fatal(err)
	}
	d.Prepare(freed, device.Batch{IDs: []int32{0}})
	d.FreePass(freed)
	host := device.HostMem(make([]byte, 16)).Tensor(device.F32, 2)
	embed := func(on device.Device, table device.Tensor, p *device.Pass) func() {
		return func() { on.Embed(table.Slice(0, 1), device.Dense(table), p, 1) }
	}
	for _, c := range []struct {
		name, want string
		call       func()
	}{
		{"reading what was freed", "were freed", func() { d.Axpy(y, 1, gone) }},
		{"a slice of it", "were freed", func() { d.Download(make([]byte, 4), gone.Slice(1, 2).Mem) }},
		{"writing it", "were freed", func() { d.Upload(gone.Mem, make([]byte, 8)) }},
		{"freeing it again", "were freed", func() { d.Free(gone.Mem) }},
		{"freeing a part", "a part", func() { d.Free(y.Slice(0, 1).Mem) }},
		{"another device's", "not this device's", func() { d.Axpy(y, 1, theirs) }},
		{"the host's", "of the host", func() { d.Axpy(y, 1, host) }},
		{"a freed pass", "pass that was freed", embed(d, y, freed)},
		{"another's pass", "pass of another device", embed(other, theirs, pass)},
	} {
		if got := panics(c.call); !strings.Contains(got, c.want) {
			t.Errorf("%s: panic %q, want one about %q", c.name, got, c.want)
		}
	}
	if got := read(t, d, x); !slices.Equal(got, []float32{2, 4}) {
		t.Errorf("an operator before Free gives %g", got)
	}
	d.FreePass(pass)
}

// lazy leaves the last row of SwiGLU as it was, as a kernel does whose grid is
// too small.
type lazy struct{ device.Device }

func (l lazy) SwiGLU(z, u device.Tensor, m, f int) {
	l.Device.SwiGLU(z.Slice(0, (m-1)*f), u.Slice(0, 2*(m-1)*f), m-1, f)
}

// TestOutputNobodyWrote: on fresh memory, which is zero, an unwritten output
// looks like a result. The deferring device and the suite's poison both show it.
func TestOutputNobodyWrote(t *testing.T) {
	row := func(d device.Device) float32 {
		u, z := numbers(t, d, make([]float32, 16)...), alloc(t, d, 32).Tensor(device.F32, 8)
		d.SwiGLU(z, u, 2, 4)
		return read(t, d, z)[7]
	}
	plain, broken := lazy{openReference(t, device.Options{})}, Deferring(lazy{openReference(t, device.Options{})})
	t.Cleanup(func() { broken.Close() })
	if got := row(plain); got != 0 {
		t.Errorf("an unwritten output of fresh memory is %g", got)
	}
	if got := row(broken); got == got {
		t.Errorf("an unwritten output is %g, want no number", got)
	}
	if got := row(newDeferred(t)); got != 0 {
		t.Errorf("a written output is %g, want 0", got)
	}
}

// TestFailures: the n-th allocation fails alone; a fault stays, the operators
// around it are not done, and what was allocated can be given back.
func TestFailures(t *testing.T) {
	d := newDeferred(t)
	d.FailAlloc(2)
	a, err := d.Alloc(100)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := d.NewPass(device.Limits{M: 1, S: 1}); !errors.Is(err, ErrFull) || p != nil {
		t.Errorf("second: %v, %v", p, err)
	}
	b, err := d.Alloc(100)
	if err != nil {
		t.Errorf("third: %v", err)
	}
	if d.Live() != 2 {
		t.Errorf("%d allocations live", d.Live())
	}
	d.FailSync(2)
	settle(t, d)
	got := []float32{5}
	d.Download(device.Raw(got), a.Slice(0, 4))
	for range 2 {
		if err := d.Sync(); !errors.Is(err, ErrFault) {
			t.Errorf("sync: %v", err)
		}
	}
	if got[0] == got[0] {
		t.Errorf("a download from a broken device is %g", got[0])
	}
	d.Free(a)
	d.Free(b)
	if d.Live() != 0 {
		t.Errorf("%d allocations live", d.Live())
	}
}

// TestCounts: a pass within one Do is handed over once.
func TestCounts(t *testing.T) {
	d := newDeferred(t)
	x := numbers(t, d, 1)
	before := d.Counts()
	err := d.Do(func() error {
		d.Axpy(x, 1, x)
		d.Zero(x.Mem)
		d.Download(make([]byte, 4), x.Mem)
		return d.Sync()
	})
	if err != nil {
		t.Fatal(err)
	}
	got := d.Counts()
	want := before
	want.Launches += 2
	want.Downloads++
	want.Syncs++
	want.Handovers++
	if got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

// TestThread: what ends or panics in Do does so for the caller, and the device
// goes on.
func TestThread(t *testing.T) {
	d := newDeferred(t)
	if got := panics(func() { d.Do(func() error { panic("f's own") }) }); got != "f's own" {
		t.Errorf("panic %q", got)
	}
	ended := make(chan bool)
	go func() {
		returned := false
		defer func() { ended <- !returned }()
		d.Do(func() error { runtime.Goexit(); return nil })
		returned = true
	}()
	if !<-ended {
		t.Error("Do returned from a function that did not")
	}
	settle(t, d)
}

// TestTransfersChangePlaces: with other seeds transfers happen at other times, and
// never before or after an operator that has to do with them.
func TestTransfersChangePlaces(t *testing.T) {
	d := &deferring{}
	blocks := []*block{{}, {}, {}}
	moved := 0
	for seed := range uint64(50) {
		d.rand = rand.New(rand.NewPCG(seed, 1))
		d.queue = nil
		var done []int
		for i := range 20 {
			d.queue = append(d.queue, entry{transfer: i%2 == 0, touches: []touch{{blocks[i%3], 0, 8}}, run: func() { done = append(done, i) }})
		}
		d.drain()
		last := [3]int{-1, -1, -1}
		for at, i := range done {
			if i != at {
				moved++
			}
			if i < last[i%3] {
				t.Fatalf("seed %d: %d came after %d, which touches the same memory: %d", seed, i, last[i%3], done)
			}
			last[i%3] = i
		}
		if len(done) != 20 {
			t.Fatalf("seed %d: %d", seed, done)
		}
	}
	if moved < 100 {
		t.Errorf("%d of 1000 changed places", moved)
	}
}
