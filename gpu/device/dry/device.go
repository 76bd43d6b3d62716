package dry

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

// A Machine is what a dry device stands for.
type Machine struct {
	Info      device.Info
	Workspace func(device.Bounds) int64 // bytes that operators need beside their operands
	Memory    int64                     // bytes that can be allocated, 0 for any number
}

// Like is the machine that dev is.
func Like(dev device.Device) Machine {
	return Machine{Info: dev.Info(), Workspace: dev.Workspace}
}

// Device implements [device.Device].
type Device struct {
	machine   Machine
	used      int64
	peak      int64
	workspace int64
	next      uint64
	sizes     map[uint64]int
	work      Work
}

var _ device.Device = (*Device)(nil)

// New makes a device that stands for m.
func New(m Machine) *Device {
	return &Device{machine: m, next: 1 << 32, sizes: map[uint64]int{}, work: Work{}}
}

// Checked is the device with its arguments checked, as others are opened.
func (d *Device) Checked() device.Device { return device.Checked(d) }

// Peak is how many bytes were allocated at most at one time, workspace included.
func (d *Device) Peak() int64 { return d.peak }

// Reserved is how many bytes of them are workspace.
func (d *Device) Reserved() int64 { return d.workspace }

// Used is how many bytes are allocated.
func (d *Device) Used() int64 { return d.used + d.workspace }

// Work is what was asked for since the last call of Forget.
func (d *Device) Work() Work { return d.work }

// Forget begins to count work anew.
func (d *Device) Forget() { d.work = Work{} }

// Info is that of the machine.
func (d *Device) Info() device.Info { return d.machine.Info }

// Close does nothing.
func (d *Device) Close() error { return nil }

// Do runs f.
func (d *Device) Do(f func() error) error { return f() }

// Available is what the machine's memory has left, −1 where that is not said.
func (d *Device) Available() int64 {
	if d.machine.Memory == 0 {
		return -1
	}
	return d.machine.Memory - d.Used()
}

// Alloc counts.
func (d *Device) Alloc(n int) (device.Mem, error) {
	if n < 0 {
		return device.Mem{}, fmt.Errorf("dry device: allocation of %d bytes", n)
	}
	if n == 0 {
		return device.Mem{}, nil
	}
	if free := d.Available(); free >= 0 && int64(n) > free {
		return device.Mem{}, fmt.Errorf("dry device: %d bytes do not fit into %d", n, free)
	}
	m := device.Mem{Addr: d.next, N: n}
	d.sizes[m.Addr] = n
	d.next += uint64(device.ArenaBytes(n))
	d.used += int64(n)
	d.note()
	return m, nil
}

func (d *Device) note() { d.peak = max(d.peak, d.Used()) }

// Free counts.
func (d *Device) Free(m device.Mem) {
	if m.Empty() {
		return
	}
	n, ok := d.sizes[m.Addr]
	if !ok || n != m.N {
		panic(fmt.Sprintf("dry device: freeing %d bytes that were not allocated", m.N))
	}
	delete(d.sizes, m.Addr)
	d.used -= int64(n)
}

// Upload and its like only count.
func (d *Device) Upload(dst device.Mem, _ []byte)   { d.work.add("Upload", 0, dst.N) }
func (d *Device) Download(dst []byte, _ device.Mem) { d.work.add("Download", 0, len(dst)) }
func (d *Device) Zero(dst device.Mem)               { d.work.add("Zero", 0, dst.N) }
func (d *Device) Copy(dst, src device.Tensor)       { d.work.add("Copy", 0, dst.Mem.N+src.Mem.N) }
func (d *Device) Swap(a, _ device.Mem)              { d.work.add("Swap", 0, 4*a.N) }

// Sync does nothing.
func (d *Device) Sync() error { return nil }

// Workspace is that of the machine.
func (d *Device) Workspace(b device.Bounds) int64 {
	if d.machine.Workspace == nil {
		return 0
	}
	return d.machine.Workspace(b)
}

// Reserve counts the workspace from now on.
func (d *Device) Reserve(b device.Bounds) error {
	d.workspace = max(d.workspace, d.Workspace(b))
	d.note()
	if free := d.Available(); free < 0 && d.machine.Memory > 0 {
		return fmt.Errorf("dry device: a workspace of %d bytes does not fit", d.workspace)
	}
	return nil
}

// passBytes is about what a pass takes of a device: its integers.
func passBytes(l device.Limits) int { return 4 * (5*l.M + l.S*(8+l.Pages) + l.N) }

// NewPass counts.
func (d *Device) NewPass(l device.Limits) (*device.Pass, error) {
	mem, err := d.Alloc(passBytes(l))
	if err != nil {
		return nil, err
	}
	return &device.Pass{On: &pass{mem: mem}}, nil
}

// FreePass counts.
func (d *Device) FreePass(p *device.Pass) { d.Free(p.On.(*pass).mem) }

// A pass keeps what work depends on.
type pass struct {
	mem      device.Mem
	pairs    float64 // of a query and a key that it reads
	distinct float64 // keys that are read from a cache, of all sequences
}

// Prepare counts how many keys the queries of the batch read.
func (d *Device) Prepare(p *device.Pass, b device.Batch) {
	x := p.On.(*pass)
	x.pairs, x.distinct = 0, 0
	for s := 1; s < len(b.CuSeqlens); s++ {
		n, past := float64(b.CuSeqlens[s]-b.CuSeqlens[s-1]), 0.0
		if len(b.Past) > 0 {
			past = float64(b.Past[s-1])
		}
		x.pairs += n*past + n*(n+1)/2
		x.distinct += past + n
	}
}

// Advance counts one key more for each query.
func (d *Device) Advance(p *device.Pass, _ device.Ints) {
	x := p.On.(*pass)
	x.pairs += float64(p.S)
	x.distinct += float64(p.S)
}
